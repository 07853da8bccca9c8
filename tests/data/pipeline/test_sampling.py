"""The order of rows: every row once, the same for the same seed and epoch."""

import numpy as np
import pytest

from ifa_jax.data.pipeline import sampling as orders

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


def test_training_order_depends_only_on_seed_and_epoch():
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


# Five pictures, of 3, 1, 3, 2 and 1 rows, not side by side.
IMAGES = ["a", "b", "c", "a", "d", "c", "e", "a", "c", "d"]
COUNTS = [2, 2, 2, 3, 3, 3, 2, 2, 2, 3]


def shuffles(**options):
  """Returns the shuffles of ten rows by different seeds."""
  found = [orders.visual_shuffle(10, seed, **options) for seed in range(40)]
  for rows in found:
    assert sorted(rows) == list(range(10))
  return found


def test_without_groups_every_row_may_go_anywhere():
  found = shuffles()
  drawn = [np.random.default_rng(seed).permutation(10) for seed in range(40)]
  kept = [(rows == np.arange(10)).sum() for rows in drawn]
  for rows, first, number in zip(found, drawn, kept, strict=True):
    # A swap for each row that had its own, and none without.
    assert (rows != first).sum() <= 2 * number
  assert kept.count(0) > 5
  # Anywhere else: a row does not keep its own.
  assert all(len({rows[i] for rows in found}) == 9 for i in range(10))


def test_counts_are_kept_and_bundles_still_move():
  found = shuffles(counts=COUNTS)
  for rows in found:
    assert [COUNTS[row] for row in rows] == COUNTS
  for row, count in enumerate(COUNTS):
    reached = {rows[row] for rows in found}
    assert reached == {i for i in range(10) if COUNTS[i] == count} - {row}


def test_rows_of_one_post_go_on_sharing_a_picture():
  found = shuffles(images=IMAGES)
  for rows in found:
    new = [IMAGES[row] for row in rows]
    pairs = set(zip(IMAGES, new, strict=True))
    assert len(pairs) == len(set(IMAGES))
    assert len({after for _, after in pairs}) == len(set(IMAGES))
  moved = {tuple(IMAGES[row] for row in rows) for rows in found}
  # a and c swap places, b and e do, and d is the only one with two rows.
  assert len(moved) == 1
  assert all(images[4] == images[9] == "d" for images in moved)


def test_pictures_move_where_each_row_finds_as_many_crops():
  found = shuffles(images=IMAGES, counts=COUNTS)
  for rows in found:
    assert [COUNTS[row] for row in rows] == COUNTS
    assert len({(IMAGES[i], IMAGES[row]) for i, row in enumerate(rows)}) == 5
  # a has crops 2 3 2 and c 2 3 2: they swap, each row to one of its count.
  assert {IMAGES[rows[0]] for rows in found} == {"c"}


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("own", "fewest"),
  [
    ("aabbcd", 0),
    ("aaabbb", 0),
    ("aaaab", 3),
    ("aaaa", 4),
    ("a", 1),
    ("ab", 0),
    ("aaaaabbc", 2),
  ],
)
def test_as_few_rows_as_can_be_keep_their_picture(own, fewest):
  for seed in range(100):
    rows = orders.visual_shuffle(len(own), seed, own=own)
    assert sorted(rows) == list(range(len(own)))
    assert orders.share_of_own(rows, own) == fewest / len(own)


@pytest.mark.silent_input
def test_a_shuffle_within_counts_keeps_as_few_pictures_as_possible():
  for seed in range(100):
    rows = orders.visual_shuffle(10, seed, counts=COUNTS, own=IMAGES)
    assert [COUNTS[row] for row in rows] == COUNTS
    assert orders.share_of_own(rows, IMAGES) == 0
    moved = orders.visual_shuffle(10, seed, IMAGES, own=IMAGES)
    # The only post of two rows stays where it is.
    assert orders.share_of_own(moved, IMAGES) == 0.2


@pytest.mark.silent_input
def test_a_permutation_without_own_pictures_stays_as_it_was():
  kept = 0
  for seed in range(60):
    rng = np.random.default_rng(seed)
    wanted = rng.permutation(40)
    own = np.arange(40) // 2
    rows = orders.visual_shuffle(40, seed, own=own.tolist())
    if (own[wanted] != own).all():
      kept += 1
      np.testing.assert_array_equal(rows, wanted)
  assert 5 < kept < 60
