"""Epochs: their rows in order, and the number of steps."""

import types

import numpy as np
import pytest

from ifa_jax.data.pipeline import sampling
from ifa_jax.training.epochs import Epochs


def course(num_rows=10, batch_size=4, seed=1, epochs=3, max_steps=0):
  train = types.SimpleNamespace(
    batch_size=batch_size, total_epochs=epochs, max_steps=max_steps
  )
  optim = types.SimpleNamespace(whole_batches=False)
  config = types.SimpleNamespace(seed=seed, train=train, optim=optim)
  return Epochs(config, num_rows)


@pytest.mark.parametrize("step", range(9))
def test_rows_left_are_those_that_the_epoch_has_not_given(step):
  for seed in (1, 2):
    whole = sampling.training_order(10, 4, seed, step // 3)
    found = course(seed=seed).rows_left(step, step // 3)
    np.testing.assert_array_equal(found, whole[step % 3 :])


def test_a_run_that_is_capped_ends_within_an_epoch():
  capped = course(max_steps=5)
  assert (capped.length, capped.num_steps, capped.schedule_steps) == (3, 5, 5)
  assert len(capped.rows_left(3, 1)) == 2
  assert [capped.ends_with(step) for step in range(1, 6)] == [
    *(False, False, True),
    *(False, True),
  ]


def test_filler_is_not_counted():
  run = course()
  assert [run.real_rows(step) for step in range(1, 7)] == [4, 4, 2, 4, 4, 2]
  seen = np.cumsum([run.real_rows(step) for step in range(1, 7)])
  assert [run.num_examples(step) for step in range(1, 7)] == seen.tolist()
  assert course(num_rows=8).real_rows(2) == 4
