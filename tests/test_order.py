"""The order of rows: every row once, the same for the same seed and epoch."""

import numpy as np
import pytest

from ifa_jax.data import order as orders

SIZES = [(10, 4), (8, 4), (3, 4), (1, 1), (7, 1), (0, 4)]


@pytest.mark.parametrize(("num_rows", "batch_size"), SIZES)
def test_every_row_stands_once_before_the_filler(num_rows, batch_size):
  steps = -(-num_rows // batch_size)
  assert orders.num_batches(num_rows, batch_size) == steps
  for order in (
    orders.evaluation_order(num_rows, batch_size),
    orders.training_order(num_rows, batch_size, seed=1, epoch=2),
  ):
    assert order.shape == (steps, batch_size)
    assert order.dtype == np.int64
    rows, filler = order.ravel()[:num_rows], order.ravel()[num_rows:]
    assert sorted(rows) == list(range(num_rows))
    assert (filler == orders.FILLER).all()


def test_evaluation_keeps_the_stored_order():
  assert orders.evaluation_order(5, 2).tolist() == [[0, 1], [2, 3], [4, -1]]


def test_training_order_depends_on_seed_and_epoch_alone():
  def order(seed, epoch, size=4):
    return orders.training_order(50, size, seed, epoch).ravel()[:50]

  np.testing.assert_array_equal(order(1, 0), order(1, 0))
  np.testing.assert_array_equal(order(1, 0), order(1, 0, size=7))
  distinct = {tuple(order(s, e)) for s in range(4) for e in range(4)}
  assert len(distinct) == 16


def test_training_order_is_shuffled_over_the_whole_split():
  # A buffer's shuffle would leave early rows early.
  first = orders.training_order(10_000, 100, seed=0, epoch=0)[:10]
  assert abs(first.mean() - 5_000) < 500


def test_visual_shuffle_is_one_fixed_permutation():
  rows = orders.visual_shuffle(50, seed=3)
  np.testing.assert_array_equal(rows, orders.visual_shuffle(50, seed=3))
  assert sorted(rows) == list(range(50))
  assert not np.array_equal(rows, np.arange(50))
  assert not np.array_equal(rows, orders.visual_shuffle(50, seed=4))
