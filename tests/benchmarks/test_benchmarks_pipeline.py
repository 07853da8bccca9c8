"""Epochs through the pipeline: each row once, and as many updates beside."""

import numpy as np
import pytest

from benchmarks import pipeline_epochs


@pytest.mark.usefixtures("fast_compilation")
def test_epochs_read_all_rows_and_repeat_their_updates(build):
  built = build()
  epochs = pipeline_epochs.PipelineEpochs(built)
  taken = []
  update = epochs._update

  def count(state, batch):
    taken.append(int(np.sum(batch.valid)))
    return update(state, batch)

  epochs._update = count
  assert epochs.read(0) > 0
  assert sum(taken) == built.data.num_rows("train") == 40
  assert epochs.repeat() > 0
  assert len(taken) == 2 * built.epochs.length


def test_shares_are_of_the_same_rounds():
  found = pipeline_epochs.Found(first=9.0, epochs=[2.0, 4.0], steps=[1.0, 3.0])
  assert found.in_steps == [0.5, 0.75]
