"""Experiments: counts, batches, and settings that are refused."""

import json

import jax
import pytest
import tiny_run
from dataset_metadata import METADATA, write_dataset

from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.training import epochs, experiment
from ifa_jax.training.config import run_record
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.workdir.run_folder import RunFolder


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("relations", "named"),
  [
    (METADATA["relations"][:-1], "expected '/r/9' as recorded, got none"),
    ([*METADATA["relations"], "/r/x"], "expected none .* got '/r/x' instead"),
    (["None", "/r/1", "/r/z"], "'/r/2', '/r/3', '/r/4', and 5 more .* '/r/z'"),
  ],
)
def test_a_run_on_another_number_of_relations_names_those_that_differ(
  dataset, tmp_path, relations, named
):
  built, folder = build(dataset), RunFolder(tmp_path / "run")
  run_record.claim(folder, built.config, built.prepared.metadata)
  other = json.dumps(METADATA | {"relations": relations})
  (dataset / "clean" / "metadata.json").write_text(other)
  # --mode=evaluate reads the run's config; a config file may have its own.
  recorded = run_record.read(folder)
  asked = {"num_relations": len(relations)}
  asked = tiny_run.tiny_run_config(dataset, model=asked)
  for config in (recorded, RunConfig.from_dict(asked)):
    with pytest.raises(ValueError, match=f"run: .*relations: .*{named}"):
      experiment.build(config, folder)


@pytest.fixture(name="dataset")
def folder_of_a_dataset(tmp_path):
  """A dataset as far as its description, in a folder of its own protocol."""
  write_dataset(tmp_path / "clean", METADATA)
  return tmp_path


def build(data_dir, **changes):
  return tiny_run.build(tiny_run.tiny_run_config(data_dir, **changes))


def test_an_experiment_counts_rows_and_updates(dataset):
  made = build(dataset)
  assert [made.data.num_rows(x) for x in ("train", "dev", "test")] == [
    40,
    13,
    17,
  ]
  assert (made.epochs.length, made.epochs.num_steps) == (4, 8)
  assert build(dataset, train={"max_steps": 5}).epochs.num_steps == 5
  assert build(dataset, train={"max_steps": 50}).epochs.num_steps == 8
  assert made.prepared.relations == METADATA["relations"]
  assert made.prepared.protocol == "clean"


def test_a_schedule_may_count_only_whole_batches(dataset):
  assert build(dataset).epochs.schedule_steps == 8
  whole = {"whole_batches": True}
  assert build(dataset, optim=whole).epochs.schedule_steps == 6
  short = build(dataset, optim=whole, train={"max_steps": 5})
  assert short.epochs.schedule_steps == short.epochs.num_steps == 5


def test_a_missing_dataset_is_named_with_the_command_that_makes_it(tmp_path):
  with pytest.raises(
    ValueError, match=r"expected a prepared dataset, got none; .*data_prep\.mn"
  ):
    build(tmp_path / "nowhere")


def test_a_dataset_of_another_protocol_is_refused(dataset):
  with pytest.raises(ValueError, match=r"expected protocol released, got clea"):
    build(dataset, data={"protocol": "released"})


@pytest.mark.parametrize(
  ("devices", "train", "message"),
  [
    (4, {"batch_size": 9}, r"train\.batch_size: .* of the 4 devices, got 9"),
    (1, {"num_slices": 5}, r"train\.num_slices: .* of the 12 rows .* got 5"),
    (3, {"num_slices": 3}, r"train\.num_slices: .* of the 4 rows .* got 3"),
  ],
)
def test_a_batch_that_cannot_be_split_is_refused(
  dataset, monkeypatch, devices, train, message
):
  monkeypatch.setattr(jax, "device_count", lambda: devices)
  made = build(dataset, train=train)
  with pytest.raises(ValueError, match=message):
    made.check_devices()


def test_any_devices_can_score_a_run(dataset, monkeypatch):
  made = build(dataset, eval={"batch_size": 10})
  assert made.eval_rows == 10
  monkeypatch.setattr(jax, "device_count", lambda: 4)
  assert made.eval_rows == 12


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"train": {"parallel": "pjit"}}, "train.parallel: expected"),
    ({"train": {"num_slices": 0}}, "train.num_slices"),
  ],
)
def test_invalid_settings_are_named(dataset, changes, message):
  with pytest.raises(ValueError, match=message):
    build(dataset, **changes)


COUNTS = {
  "pictures": 0,
  "missing_pictures": 9,
  "grounded": 0,
  "missing_grounded": 5,
  "detected": 4,
  "missing_detected": 0,
}


@pytest.mark.parametrize(
  ("missing_pixels", "fusion", "fields"),
  [
    ("absent", "paper", ["detected"]),
    ("grey", "paper", ["image", "grounded", "detected"]),
    # Its absent crops are tokens that text attends to.
    ("absent", "released", ["grounded", "detected"]),
  ],
)
def test_absent_fields_are_not_read(tmp_path, missing_pixels, fusion, fields):
  write_dataset(
    tmp_path / "data",
    METADATA
    | {
      "missing_pixels": missing_pixels,
      "counts": {"train": dict.fromkeys(COUNTS, 0), "val": COUNTS},
    },
  )
  built = build(tmp_path / "data", model={"fusion": fusion})
  assert [name for name, *_ in built.data.geometry.slots] == fields


def test_training_pictures_are_shuffled_by_the_config(data_dir, monkeypatch):
  describe = Split.describe

  def in_pairs(split, row):
    return describe(split, row)._replace(img_id=f"{row // 2}.jpg")

  # The generated posts have a picture each.
  monkeypatch.setattr(Split, "describe", in_pairs)

  def pictures(**data):
    built = tiny_run.build(tiny_run.tiny_run_config(data_dir, data=data))
    split = built.data.split("train")
    found = built.visual_rows
    return split, None if found is None else list(found)

  split, found = pictures()
  assert found is None
  _, found = pictures(visual_shuffle_seed=3)
  names = epochs.pictures(split)
  assert found == list(sampling.visual_shuffle(len(split), 3, own=names))
  _, kept = pictures(visual_shuffle_seed=3, visual_shuffle_keep="count")
  assert kept != found
  rows = [split.describe(row) for row in range(len(split))]
  most = tiny_run.GEOMETRY["num_crops"]
  for row, source in enumerate(kept):
    for name in ("image", "grounded", "detected"):
      one, other = (rows[i].num_squares[name] for i in (row, source))
      assert min(one, most) == min(other, most)
  _, moved = pictures(visual_shuffle_seed=3, visual_shuffle_unit="image")
  assert {(row // 2, source // 2) for row, source in enumerate(moved)} == {
    (row // 2, moved[row] // 2) for row in range(0, len(rows), 2)
  }


@pytest.mark.parametrize(
  ("name", "wanted"), [("unit", "row, image"), ("keep", "nothing, count")]
)
def test_an_unknown_shuffle_is_refused(dataset, name, wanted):
  with pytest.raises(ValueError, match=f"_{name}: expected one of {wanted}"):
    build(dataset, data={f"visual_shuffle_{name}": "post"})
