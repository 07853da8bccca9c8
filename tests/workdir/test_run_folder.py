"""A run's folder: the runs it accepts, and files that appear whole."""

import contextlib
import errno
import json
import os
import pathlib

import pytest

from ifa_jax.workdir import run_folder
from ifa_jax.workdir.run_folder import RunFolder

CONFIG = {
  "seed": 1,
  "data": {"data_dir": "here", "text_buckets": (48, 64)},
  "model": {"vision": {"num_crops": 3}, "exchange": {"visual_bias": None}},
  "train": {"log_steps": 20, "progress": True},
}
DATASET = {"protocol": "clean", "relations": ["None", "été"]}


@pytest.fixture(name="folder")
def claimed_folder(tmp_path):
  folder = RunFolder(tmp_path / "runs" / "one")
  folder.claim(CONFIG, DATASET)
  return folder


def changed(**sections):
  return CONFIG | {k: CONFIG[k] | v for k, v in sections.items()}


def listing(path):
  return {p.name: p.read_bytes() for p in pathlib.Path(path).iterdir()}


def test_a_new_folder_is_made_and_keeps_the_whole_record(folder):
  record = folder.read_record()
  assert record["config"] == json.loads(json.dumps(CONFIG))
  assert record["dataset"] == DATASET
  assert {"python", "jax", "flax"} <= record["versions"].keys()
  assert set(listing(folder.path)) == {"config.json"}


def test_an_empty_folder_counts_as_new(tmp_path):
  RunFolder(tmp_path).claim(CONFIG, DATASET)
  assert RunFolder(tmp_path).read_record()["dataset"] == DATASET


def test_the_same_run_is_accepted_and_not_changed(folder):
  before = listing(folder.path)
  folder.claim(CONFIG, DATASET)
  assert listing(folder.path) == before


def test_settings_that_change_no_result_may_differ(folder):
  before = listing(folder.path)
  free = changed(
    data={"data_dir": "there"}, train={"log_steps": 1, "progress": False}
  )
  folder.claim(free, DATASET | {"prepared_with": {"python": "3.99"}})
  assert listing(folder.path) == before


@pytest.mark.parametrize(
  ("config", "dataset", "named"),
  [
    (CONFIG | {"seed": 2}, DATASET, "seed: expected 1 as recorded, got 2"),
    (
      changed(model={"vision": {"num_crops": 2}}),
      DATASET,
      "model.vision.num_crops: expected 3 as recorded, got 2",
    ),
    (
      changed(model={"exchange": {"visual_bias": 0.5}}),
      DATASET,
      "model.exchange.visual_bias: expected None as recorded, got 0.5",
    ),
    (changed(model={"vision": None}), DATASET, "model.vision"),
    (
      changed(train={"extra": 1}),
      DATASET,
      "train.extra: expected None as recorded, got 1",
    ),
    (
      CONFIG,
      DATASET | {"protocol": "none"},
      "dataset.protocol: expected 'clean' as recorded, got 'none'",
    ),
  ],
)
def test_another_run_is_refused_and_the_difference_named(
  folder, config, dataset, named
):
  before = listing(folder.path)
  with pytest.raises(ValueError, match="holds another run: ") as error:
    folder.claim(config, dataset)
  assert named in str(error.value)
  assert folder.path in str(error.value)
  assert listing(folder.path) == before


NAMES = ["None", *(f"/per/org/{letter}" for letter in "abcdef")]
SWAPPED = [*NAMES[:2], NAMES[3], NAMES[2], *NAMES[4:]]


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("relations", "found"),
  [
    (
      SWAPPED,
      "the recorded order, got another: 2 is '/per/org/c', not '/per/org/b',"
      " 3 is '/per/org/b', not '/per/org/c'",
    ),
    (
      [*NAMES[:-1], "/per/org/F"],
      "'/per/org/f' as recorded, got '/per/org/F' instead",
    ),
    (
      ["None", *NAMES[:0:-1]],
      "the recorded order, got another: 1 is '/per/org/f', not '/per/org/a',"
      " 2 is '/per/org/e', not '/per/org/b', 3 is '/per/org/d', not"
      " '/per/org/c', and 3 more",
    ),
    (NAMES[:-1], "'/per/org/f' as recorded, got none instead"),
    ([*NAMES, "/x"], "none as recorded, got '/x' instead"),
  ],
)
def test_relations_that_differ_are_named(tmp_path, relations, found):
  folder = RunFolder(tmp_path)
  dataset = {"relations": NAMES, "counts": {"train": {"rows": 5}}}
  folder.claim(CONFIG, dataset)
  # A dataset of other relations has other counts too.
  other = {"relations": relations, "counts": {"train": {"rows": 6}}}
  config = changed(model={"num_relations": len(relations)})
  with pytest.raises(ValueError, match=r"dataset\.relations") as error:
    folder.claim(config, other)
  assert str(error.value) == (
    f"{folder.path}: holds another run: dataset.relations: expected {found};"
    " prepare the dataset with the run's relations in the run's order, or"
    " choose another --workdir"
  )


@pytest.mark.silent_input
def test_another_dataset_is_not_mended_by_settings(folder):
  with pytest.raises(ValueError, match="; prepare the same dataset, or choose"):
    folder.claim(CONFIG, DATASET | {"counts": {"train": {"rows": 6}}})


FOREIGN = {
  "no config.json": {"notes.txt": "mine"},
  "another program's config.json": {"config.json": '{"model_type": "bert"}'},
  "no object": {"config.json": "[1]"},
  "no JSON": {"config.json": '{"config": '},
}


@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_files_that_are_no_run_are_refused_and_kept(tmp_path, files):
  for name, text in files.items():
    (tmp_path / name).write_text(text)
  before = listing(tmp_path)
  folder = RunFolder(tmp_path)
  with pytest.raises(ValueError, match=str(tmp_path)):
    folder.claim(CONFIG, DATASET)
  with pytest.raises(ValueError, match=str(tmp_path)):
    folder.read_record()
  assert listing(tmp_path) == before


@pytest.mark.silent_input
def test_a_key_twice_in_a_file_is_refused(tmp_path):
  (tmp_path / "config.json").write_text('{"seed": 0, "seed": 1}')
  with pytest.raises(ValueError, match=r"config\.json: .*got 'seed' 2 times"):
    RunFolder(tmp_path).read_json("config.json")


def test_a_start_that_was_killed_can_be_made_again(tmp_path):
  (tmp_path / "config.json.partial").write_text('{"config": ')
  RunFolder(tmp_path).claim(CONFIG, DATASET)
  assert set(listing(tmp_path)) == {"config.json"}


@pytest.mark.parametrize("moment", ["before the listing", "after it"])
def test_of_two_simultaneous_starts_one_is_refused(
  tmp_path, monkeypatch, moment
):
  first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
  with contextlib.ExitStack() as stack:

    def overtake():
      monkeypatch.undo()
      first.claim(CONFIG, DATASET, lambda: {"by": "first"})
      stack.enter_context(first.held())
      return {}

    describe = overtake
    if moment == "after it":
      monkeypatch.setattr(run_folder, "_git_commit", overtake)
      describe = dict
    second.claim(CONFIG, DATASET, describe)
    assert second.read_record()["by"] == "first"
    with pytest.raises(ValueError, match="another process is training"):
      stack.enter_context(second.held())
  assert set(listing(second.path)) == {"config.json"}


def test_a_folder_on_a_file_system_without_hard_links(tmp_path, monkeypatch):
  def refuse(*_):
    raise OSError(errno.EPERM, "Operation not permitted")

  monkeypatch.setattr(os, "link", refuse)
  RunFolder(tmp_path).claim(CONFIG, DATASET)
  assert set(listing(tmp_path)) == {"config.json"}


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ('{"config": [], "dataset": {}}', r"config\.json: config: .* got \[\]"),
    ('{"config": {}, "dataset": 1}', r"config\.json: dataset: .* got 1"),
    ("[" * 100_000, r"config\.json: not JSON"),
  ],
)
def test_a_damaged_record_gives_one_line(tmp_path, text, message):
  (tmp_path / "config.json").write_text(text)
  with pytest.raises(ValueError, match=message):
    RunFolder(tmp_path).read_record()


def test_reading_a_record_wants_a_run(tmp_path):
  with pytest.raises(ValueError, match="expected a run's folder"):
    RunFolder(tmp_path / "nowhere").read_record()


def test_files_appear_whole_or_not_at_all(folder):
  folder.write_json("scores.json", {"f1": 0.5, "name": "été"})
  folder.write_lines("rows.jsonl", [{"a": 1}, {"b": [2]}])

  def killed():
    yield {"a": 2}
    raise KeyboardInterrupt

  with pytest.raises(TypeError):
    folder.write_json("scores.json", {"f1": 0.6, "name": object()})
  with pytest.raises(KeyboardInterrupt):
    folder.write_lines("rows.jsonl", killed())
  assert folder.read_json("scores.json") == {"f1": 0.5, "name": "été"}
  lines = pathlib.Path(folder.file("rows.jsonl")).read_text().splitlines()
  assert [json.loads(line) for line in lines] == [{"a": 1}, {"b": [2]}]


def test_a_file_that_is_not_there_reads_as_none(folder):
  assert folder.read_json("eval_test.json") is None
