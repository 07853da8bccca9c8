"""Which rows stand in which batch: a pure function of seed and epoch.

An order is int64[steps, B] of row numbers. The last batch is filled up with
`FILLER`, so that every row counts once whatever the batch size.
"""

import numpy as np

FILLER = -1


def num_batches(num_rows: int, batch_size: int) -> int:
  """Returns how many batches hold all rows, the last maybe partly filler."""
  return -(-num_rows // batch_size)


def in_batches(rows: np.ndarray, batch_size: int) -> np.ndarray:
  """Cuts int64[n] into int64[steps, B]: [4, 5, 6] by 2 is [[4, 5], [6, -1]]."""
  steps = num_batches(len(rows), batch_size)
  filled = np.full(steps * batch_size, FILLER, np.int64)
  filled[: len(rows)] = rows
  return filled.reshape(steps, batch_size)


def evaluation_order(num_rows: int, batch_size: int) -> np.ndarray:
  """Returns all rows once, as they are stored."""
  return in_batches(np.arange(num_rows), batch_size)


def training_order(
  num_rows: int, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
  """Returns all rows once, shuffled by (seed, epoch); epochs count from 0."""
  rng = np.random.default_rng([seed, epoch])
  return in_batches(rng.permutation(num_rows), batch_size)


def visual_shuffle(num_rows: int, seed: int) -> np.ndarray:
  """Returns int64[n]: whose pictures each row gets under the visual shuffle.

  One fixed permutation of a split's visual bundles; text and labels stay.
  """
  return np.random.default_rng(seed).permutation(num_rows)
