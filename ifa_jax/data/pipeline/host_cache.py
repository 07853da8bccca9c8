"""Stores of decoded rows in host memory.

A store lists the rows that it lacks for some batches, receives the fields of
these rows, and assembles the batches.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.batch import Fields

Row = Mapping[str, np.ndarray]


class Store:
  """Keeps no rows: every batch is read from disk. The base of all stores."""

  def missing(self, batches: np.ndarray) -> list[np.ndarray]:
    """Returns the rows to read before each step of int[steps, B].

    The rows of a step are sorted and distinct.
    """
    return [np.unique(rows) for rows in batches]

  def take(
    self, rows: np.ndarray, new_rows: np.ndarray, new: Sequence[Row]
  ) -> dict[str, Any]:
    """Returns the fields of a batch, arrays [B, ...].

    Args:
      rows: int[B].
      new_rows: int[k], the rows that `missing` asked for at this step.
      new: their fields.
    """
    # Nothing is kept, so the sorted new rows include every row of the batch.
    picked = [new[place] for place in np.searchsorted(new_rows, rows)]
    return {name: np.stack([row[name] for row in picked]) for name in picked[0]}


class Stores(NamedTuple):
  """The stores of a split's texts and pictures.

  They are separate because a visual shuffle pairs a text with another row's
  pictures.
  """

  text: Store = Store()
  pictures: Store = Store()


class HostRows(Store):
  """Keeps rows in numpy arrays, one per field."""

  def __init__(self, num_rows: int, fields: Fields):
    """Reserves address space; memory is used only as rows are written."""
    self._stored = np.zeros(num_rows, bool)
    self._arrays = {
      name: np.zeros((num_rows, *shape), dtype)
      for name, (shape, dtype) in fields.items()
    }

  def missing(self, batches: np.ndarray) -> list[np.ndarray]:
    """See `Store`; each row is read before the first step that needs it."""
    rows, first = np.unique(batches, return_index=True)
    lacking = ~self._stored[rows]
    # `first` indexes the flattened batches. A batch may have no columns.
    steps = first[lacking] // max(1, batches.shape[1])
    # A stable sort keeps the rows of a step in ascending order.
    by_step = np.argsort(steps, kind="stable")
    ends = np.searchsorted(steps[by_step], np.arange(1, len(batches)))
    # Without any batch, `split` still returns one part.
    return np.split(rows[lacking][by_step], ends)[: len(batches)]

  def write(self, rows: np.ndarray, new: Sequence[Row]) -> None:
    """Stores rows; fields that this store does not have are ignored."""
    for row, fields in zip(rows, new, strict=True):
      for name, array in self._arrays.items():
        array[row] = fields[name]
      self._stored[row] = True

  def take(
    self, rows: np.ndarray, new_rows: np.ndarray, new: Sequence[Row]
  ) -> dict[str, Any]:
    """See `Store`."""
    self.write(new_rows, new)
    # A copy: the next `write` must not change a batch in flight to a device.
    return {name: x.take(rows, axis=0) for name, x in self._arrays.items()}
