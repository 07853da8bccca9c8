"""Where decoded rows are kept, so that none is read a second time.

A store says which rows of some batches it lacks, is given these as they come,
and makes the batches: text by text rows, pictures by picture rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ifa_jax.batch import Fields

Row = Mapping[str, np.ndarray]


class Store(Protocol):
  """Keeps some fields of a split's rows, or does not."""

  def missing(self, batches: np.ndarray) -> list[np.ndarray]:
    """Returns which rows of int[steps, B] must be read before each step.

    Each step's are sorted, and each once.
    """
    ...

  def take(
    self, rows: np.ndarray, new_rows: np.ndarray, new: Sequence[Row]
  ) -> dict[str, Any]:
    """Returns the fields of a batch, arrays [B, ...].

    Args:
      rows: int[B].
      new_rows: int[k], those of `missing` that were read for this step.
      new: their fields.
    """
    ...


class Stores(NamedTuple):
  """Where the text of a split's rows is kept, and where their pictures."""

  text: Store
  pictures: Store


class Unstored:
  """Keeps nothing: every batch is read anew."""

  def missing(self, batches: np.ndarray) -> list[np.ndarray]:
    """See `Store`."""
    return [np.unique(rows) for rows in batches]

  def take(
    self, rows: np.ndarray, new_rows: np.ndarray, new: Sequence[Row]
  ) -> dict[str, np.ndarray]:
    """See `Store`."""
    picked = [new[place] for place in np.searchsorted(new_rows, rows)]
    return {name: np.stack([row[name] for row in picked]) for name in picked[0]}


class HostRows:
  """Keeps rows in memory, one array a field; pages are taken as they fill."""

  def __init__(self, num_rows: int, fields: Fields):
    """Has no row yet.

    Args:
      num_rows: of the split.
      fields: what is kept of each.
    """
    self._there = np.zeros(num_rows, bool)
    self._arrays = {
      name: np.zeros((num_rows, *shape), dtype)
      for name, (shape, dtype) in fields.items()
    }

  def missing(self, batches: np.ndarray) -> list[np.ndarray]:
    """See `Store`."""
    rows, first = np.unique(batches, return_index=True)
    lacking = ~self._there[rows]
    steps = first[lacking] // max(1, batches.shape[1])
    by_step = np.argsort(steps, kind="stable")
    ends = np.searchsorted(steps[by_step], np.arange(1, len(batches)))
    return np.split(rows[lacking][by_step], ends)[: len(batches)]

  def write(self, rows: np.ndarray, new: Sequence[Row]) -> None:
    """Keeps rows; what else they hold is passed over."""
    for row, fields in zip(rows, new, strict=True):
      for name, array in self._arrays.items():
        array[row] = fields[name]
      self._there[row] = True

  def take(
    self, rows: np.ndarray, new_rows: np.ndarray, new: Sequence[Row]
  ) -> dict[str, np.ndarray]:
    """See `Store`."""
    self.write(new_rows, new)
    return {name: x.take(rows, axis=0) for name, x in self._arrays.items()}
