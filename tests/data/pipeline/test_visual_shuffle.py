"""Training on shuffled pictures, and who notices other pictures."""

import pathlib

import numpy as np
import pytest
import whole_run

from ifa_jax.batch import blank_pictures
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.training import evaluation, loop
from ifa_jax.workdir.checkpoints import Checkpoints

pytestmark = pytest.mark.usefixtures("fast_compilation")


def test_shuffle_train_gives_training_rows_other_pictures_and_no_others(
  build, tmp_path, monkeypatch
):
  batches, calls = Split.batches, []

  def spying(split, order, geometry, visual_rows, *others):
    calls.append((split.name, visual_rows))
    return batches(split, order, geometry, visual_rows, *others)

  monkeypatch.setattr(Split, "batches", spying)
  loop.run(build(data={"visual_shuffle_seed": 0}), tmp_path)
  shuffles = [rows for name, rows in calls if name == "train"]
  assert len(shuffles) == 2
  np.testing.assert_array_equal(*shuffles)
  assert sorted(shuffles[0]) == list(range(40))
  assert list(shuffles[0]) != list(range(40))
  assert {name for name, _ in calls} == {"train", "val", "test"}
  assert all(rows is None for name, rows in calls if name != "train")


def test_a_text_model_does_not_see_the_shuffle(build, tmp_path):
  results = []
  for seed in (None, 0):
    workdir = tmp_path / str(seed)
    loop.run(
      build(**whole_run.TEXT, data={"visual_shuffle_seed": seed}), workdir
    )
    results.append(whole_run.outcome(workdir))
  assert results[0] == results[1]


@pytest.mark.parametrize("vision", [True, False])
def test_only_a_model_that_looks_notices_other_pictures(
  build, finished, tmp_path, vision
):
  if vision:
    built, workdir = finished
  else:
    built, workdir = build(**whole_run.TEXT), tmp_path
    loop.run(built, workdir)
  with Checkpoints(pathlib.Path(workdir) / "checkpoints") as checkpoints:
    params = evaluation.load_best(built, checkpoints).params
  evaluator, split = evaluation.Evaluator(built), built.data.split("test")
  others = np.roll(np.arange(len(split)), 1)
  standard, shuffled, blank = (
    evaluator.predict(params, split, **options).probabilities
    for options in (
      {},
      {"visual_rows": others},
      {"change": blank_pictures},
    )
  )
  assert np.array_equal(standard, shuffled) != vision
  assert np.array_equal(standard, blank) != vision
