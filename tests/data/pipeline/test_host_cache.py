"""Stores of decoded rows: missing rows, and batches."""

import numpy as np
import pytest

from ifa_jax.data.pipeline.host_cache import HostRows, Store

FIELDS = {"pixels": ((2, 3), "uint8"), "there": ((), "bool")}
NUM_ROWS = 9


def row(number):
  """Returns the fields of a row, with one that is not stored."""
  rng = np.random.default_rng(number)
  return {
    "pixels": rng.integers(0, 256, (2, 3), np.uint8),
    "there": np.bool_(number % 2),
    "else": np.zeros(5),
  }


def first_seen(batches, seen=()):
  """Returns by a loop which rows of each batch no earlier one has."""
  seen, found = set(seen), []
  for rows in batches:
    found.append(sorted({*rows.tolist()} - seen))
    seen |= {*rows.tolist()}
  return found


def lists(arrays):
  return [x.tolist() for x in arrays]


def run(store, batches):
  """Returns the batches of a store that is given the missing rows."""
  missing = store.missing(batches)
  return [
    store.take(rows, new, [row(n) for n in new])
    for rows, new in zip(batches, missing, strict=True)
  ]


@pytest.fixture(name="batches")
def some_batches():
  return np.random.default_rng(3).integers(0, NUM_ROWS, (6, 4))


def check(found, batches):
  for fields, rows in zip(found, batches, strict=True):
    for name, (shape, dtype) in FIELDS.items():
      assert fields[name].shape == (len(rows), *shape)
      assert fields[name].dtype == dtype
      wanted = np.stack([row(n)[name] for n in rows])
      np.testing.assert_array_equal(fields[name], wanted)


def test_no_row_is_missing_twice(batches):
  store = HostRows(NUM_ROWS, FIELDS)
  assert lists(store.missing(batches)) == first_seen(batches)
  check(run(store, batches[:2]), batches[:2])
  wanted = first_seen(batches, seen=batches[:2].ravel())
  assert lists(store.missing(batches)) == wanted
  check(run(store, batches), batches)
  assert lists(store.missing(batches)) == [[]] * len(batches)
  check(run(store, batches[::-1]), batches[::-1])


def test_rows_planned_but_not_read_are_missing_again(batches):
  store = HostRows(NUM_ROWS, FIELDS)
  store.missing(batches)
  assert lists(store.missing(batches)) == first_seen(batches)


def test_batches_do_not_change_with_the_store(batches):
  store = HostRows(NUM_ROWS, FIELDS)
  (first, *_) = run(store, batches)
  kept = first["pixels"].copy()
  store.write(np.arange(NUM_ROWS), [row(n + 100) for n in range(NUM_ROWS)])
  np.testing.assert_array_equal(first["pixels"], kept)


def test_without_a_store_every_batch_is_read(batches):
  for _ in range(2):
    wanted = [np.unique(rows).tolist() for rows in batches]
    assert lists(Store().missing(batches)) == wanted
    found = run(Store(), batches)
    check(found, batches)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
@pytest.mark.parametrize("store", [Store(), HostRows(NUM_ROWS, FIELDS)])
def test_no_rows_are_missing_of_none(store, shape):
  missing = store.missing(np.zeros(shape, np.int64))
  assert lists(missing) == [[]] * shape[0]
