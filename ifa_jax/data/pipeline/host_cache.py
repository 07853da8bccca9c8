"""Stores of decoded rows in host memory, and the memory left for them.

A store lists the rows that it lacks for some batches, receives the fields of
these rows, and assembles the batches.
"""

import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import psutil

from ifa_jax.batch import Fields

Row = Mapping[str, np.ndarray]

# Linux's control groups, of version 2 or 1.
_ROOT = pathlib.Path("/sys/fs/cgroup")
_FILES = (
  ("memory.max", "memory.current", "inactive_file"),
  ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


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


def free_memory() -> int:
  """Returns the bytes that this process may still take.

  Containers and SLURM give a group of processes less than the machine has, and
  kill a process that takes more.
  """
  try:
    lines = pathlib.Path("/proc/self/cgroup").read_text().splitlines()
  except OSError:  # No Linux.
    lines = []
  left = [left_in(group) for group in groups(lines, _ROOT)]
  return int(min([psutil.virtual_memory().available, *left]))


def groups(lines: list[str], root: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields the folders of this process's groups and of those around them.

  Args:
    lines: of /proc/self/cgroup, "0::/job" or "4:memory:/job".
    root: of the folders.
  """
  for line in lines:
    _, controllers, path = line.split(":", 2)
    if controllers and "memory" not in controllers.split(","):
      continue
    base = root / "memory" if controllers else root
    # In a container, the base may be the group itself.
    own = base / path.lstrip("/")
    yield from (x for x in (own, *own.parents) if x.is_relative_to(base))


def left_in(group: pathlib.Path) -> float:
  """Returns the bytes left in a group, infinity without a limit."""
  for limit, used, dropped in _FILES:
    try:
      most, now = (int((group / x).read_text()) for x in (limit, used))
      lines = (group / "memory.stat").read_text().splitlines()
      stat = dict(line.split() for line in lines)
    except (OSError, ValueError):  # No such file, or "max".
      continue
    # The kernel drops copies of files before it kills a process.
    return most - now + int(stat.get(dropped, 0))
  return math.inf
