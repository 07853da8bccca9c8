"""A run scored on another dataset, whose relations have other ids."""

import collections
import json
import pathlib
import shutil

import numpy as np
import pytest
import tiny_run

from ifa_jax.preparation.mnre import prepare
from ifa_jax.statistics import predictions
from ifa_jax.training import transfer
from ifa_jax.training.config import run_record
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module", name="renamed")
def relation_that_only_the_other_data_has(finished):
  """Returns a relation of the test split and its new name."""
  lines = tiny_run.read_lines(finished.workdir / "predictions_test.jsonl")
  counts = collections.Counter(line["gold"] for line in lines)
  del counts["None"]
  return min(counts), "/misc/misc/unheard_of"


@pytest.fixture(scope="module", name="other")
def other_dataset(raw_dir, renamed, tmp_path_factory):
  """The same rows under another order of ids, and with new names.

  The negative class is spelled "none".
  """
  tree = tmp_path_factory.mktemp("other") / "tree"
  shutil.copytree(raw_dir, tree)
  old, new = renamed
  for split in ("train", "val", "test"):
    path = tree / "txt" / f"ours_{split}.txt"
    text = path.read_text().replace(f"'{old}'", f"'{new}'")
    path.write_text(text.replace("'relation': 'None'", "'relation': 'none'"))
  path = tree / "ours_rel2id.json"
  none, *names = json.loads(path.read_text())
  names = [new if name == old else name for name in reversed(names)]
  ids = {name: i for i, name in enumerate([none.lower(), *names])}
  path.write_text(json.dumps(ids))
  prepare.prepare(tiny_run.dataset_settings(tree, tree.parent / "other"))
  return str(tree.parent / "other")


@pytest.fixture(name="copied")
def copy_of_the_run(finished, tmp_path):
  shutil.copytree(finished.workdir, tmp_path / "run")
  return RunFolder(tmp_path / "run")


def score(folder, data_dir, **options):
  return transfer.run(
    run_record.read(folder), folder, data_dir, "test", **options
  )


def lines_of(folder):
  return tiny_run.read_lines(folder / "predictions_test.jsonl")


def test_relations_are_matched_by_name(
  copied, other, renamed, finished, caplog
):
  scores = score(copied, other)
  own = lines_of(finished.workdir)
  found = lines_of(pathlib.Path(copied.path) / "on_other")
  old, new = renamed
  for theirs, ours in zip(found, own, strict=True):
    assert theirs["gold"] == (new if ours["gold"] == old else ours["gold"])
    assert theirs["pred"] == ours["pred"]
    assert theirs["probabilities"] == ours["probabilities"]
  support = sum(line["gold"] == old for line in own)
  assert scores["unknown"] == {new: support}
  right = [x["pred"] == x["gold"] and x["gold"] != old for x in own]
  assert scores["accuracy"] == pytest.approx(np.mean(right))
  assert scores["per_relation"][new] == {
    "precision": 0,
    "recall": 0,
    "f1": 0,
    "support": support,
    "predicted": 0,
  }
  (message,) = caplog.messages[-1:]
  assert message.endswith(
    "rows of relations that the run does not know, all wrong:"
    f" {new} ({support})"
  )


def test_rows_of_unknown_relations_can_be_left_out(
  copied, other, renamed, finished
):
  scores = score(copied, other, unknown="skip")
  own = [x for x in lines_of(finished.workdir) if x["gold"] != renamed[0]]
  assert scores["n"] == len(own)
  right = [x["pred"] == x["gold"] for x in own]
  assert scores["accuracy"] == pytest.approx(np.mean(right))
  seed = predictions.read(copied.file("on_other_skip"), "test")
  assert [*seed.lines] == [x["id"] for x in own]


def test_the_runs_own_scores_remain(copied, other):
  before = copied.read_json("eval_test.json")
  score(copied, other)
  assert copied.read_json("eval_test.json") == before


def test_scores_of_another_dataset_of_this_name_remain(copied, other, tmp_path):
  score(copied, other)
  again = shutil.copytree(other, tmp_path / "other")
  with pytest.raises(ValueError, match=rf"on_other: expected .* on {again}"):
    score(copied, str(again))
  assert score(copied, other)["data_dir"] == other


def test_texts_of_another_vocabulary_are_refused(copied, other):
  record = copied.read_record()
  record["dataset"]["tokenizer"]["sha256"] = "0" * 64
  copied.write_json("config.json", record)
  with pytest.raises(ValueError, match=r"texts of the run's tokenizer"):
    score(copied, other)


def test_words_of_the_runs_own_dataset_are_refused(copied, other):
  record = copied.read_record()
  config = tiny_run.build(record["config"]).config
  pcnn = type("PCNN", (), {"reads_words": True, "system": "pcnn"})
  object.__setattr__(config, "model", pcnn())
  with pytest.raises(ValueError, match="got pcnn, which reads words or"):
    transfer.run(config, copied, other, "test")
