"""A run selects a checkpoint on dev, and scores it once on test."""

import shutil

import jax
import numpy as np
import pytest
import whole_run

from ifa_jax.training import evaluation, loop
from ifa_jax.training.metric_writer import Meter
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")


class Spy:
  """Keeps the parameters that each split was predicted with, on the host."""

  def __init__(self, monkeypatch):
    self.calls = []
    predict = evaluation.Evaluator.predict

    def spying(evaluator, params, split, *args, **kwargs):
      leaves = [np.array(x).tobytes() for x in jax.tree.leaves(params)]
      self.calls.append((split.name, leaves))
      return predict(evaluator, params, split, *args, **kwargs)

    monkeypatch.setattr(evaluation.Evaluator, "predict", spying)


def test_the_best_dev_epoch_is_scored_and_of_equal_ones_the_earlier(
  build, tmp_path, monkeypatch
):
  spy, f1 = Spy(monkeypatch), iter((0.2, 0.7, 0.7))
  monkeypatch.setattr(
    loop.metrics,
    "micro_f1",
    lambda *_: {"precision": 0.0, "recall": 0.0, "f1": next(f1, 0.0)},
  )
  scores = loop.run(
    build(**whole_run.TEXT, train={"total_epochs": 3}), tmp_path
  )
  assert scores["step"] == 8
  names = [name for name, _ in spy.calls]
  assert names == ["val", "val", "val", "val", "test"]
  *epochs, dev, test = [leaves for _, leaves in spy.calls]
  assert len({tuple(leaves) for leaves in epochs}) == 3
  assert test == dev == epochs[1]


def test_scoring_a_finished_run_again_gives_the_same_files(finished, tmp_path):
  copied = tmp_path / "run"
  shutil.copytree(finished.workdir, copied)
  for split in ("dev", "test"):
    for name in (f"eval_{split}.json", f"predictions_{split}.jsonl"):
      (copied / name).unlink()
    evaluation.run(finished.experiment, RunFolder(copied), split)
  assert whole_run.outcome(copied) == whole_run.outcome(finished.workdir)


def test_scores_of_a_run_on_its_way_do_not_stand_for_its_end(
  finished, build, tmp_path
):
  """As when one looks at test while the run is stopped."""
  whole_run.run_until_stopped(build(), tmp_path, Meter, "add", 6)
  evaluation.run(build(), RunFolder(tmp_path), "test")
  loop.run(build(), tmp_path)
  assert whole_run.outcome(tmp_path) == whole_run.outcome(finished.workdir)


def test_scoring_a_run_without_checkpoint_is_refused(build, tmp_path):
  whole_run.run_until_stopped(
    build(**whole_run.TEXT), tmp_path, Meter, "add", 1
  )
  with pytest.raises(ValueError, match="expected a checkpoint with dev scores"):
    evaluation.run(build(**whole_run.TEXT), RunFolder(tmp_path), "test")
