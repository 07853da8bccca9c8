"""Training on shuffled pictures."""

import numpy as np
import pytest
import whole_run

from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.training import loop

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
