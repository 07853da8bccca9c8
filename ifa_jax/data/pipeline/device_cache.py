"""Pictures of a whole split in device memory, where batches are gathered.

A step then transfers row numbers instead of pixels. The pictures of MNRE take
5 GB as uint8, 0.3 MB per row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from ifa_jax.batch import Fields
from ifa_jax.data.pipeline.host_cache import HostRows, Row
from ifa_jax.runtime.data_parallel import AXIS, Parallel

Tables = dict[str, jax.Array]


class DeviceRows:
  """Tables of rows, replicated on each device of this process."""

  def __init__(
    self, tables: Mapping[str, np.ndarray | jax.Array], parallel: Parallel
  ):
    """Copies tables [n, ...] to the devices, unless they are there already."""
    # Over the local mesh: each process gathers only its own rows, without
    # communication.
    copied = NamedSharding(parallel.local_mesh, PartitionSpec())
    split = NamedSharding(parallel.local_mesh, PartitionSpec(AXIS))
    self._parallel = parallel
    self._tables: Tables = jax.device_put(dict(tables), copied)
    self._take = jax.jit(
      _take, in_shardings=(copied, split), out_shardings=split
    )
    # Donated: otherwise a write would need the memory of a second table.
    self._write = jax.jit(_write, donate_argnums=0, out_shardings=copied)

  def write(self, rows: np.ndarray, new: Mapping[str, np.ndarray]) -> None:
    """Overwrites rows int[k] with [k, ...] per table.

    Rows may repeat. Every k compiles a program of its own.
    """
    self._tables = self._write(self._tables, rows.astype(np.int32), dict(new))

  def take(self, rows: np.ndarray) -> Tables:
    """Gathers this process's rows int[B], laid out as by `Parallel.split`."""
    folded = self._parallel.fold(rows.astype(np.int32))
    return jax.tree.map(self._parallel.join, self._take(self._tables, folded))


def _take(tables: Tables, rows: jax.Array) -> Tables:
  return {name: table[rows] for name, table in tables.items()}


def _write(tables: Tables, rows: jax.Array, new: Tables) -> Tables:
  return {k: table.at[rows].set(new[k]) for k, table in tables.items()}


class DevicePictures(HostRows):
  """A `Store` with pixels on the devices and masks in host memory."""

  def __init__(
    self, num_rows: int, pixels: Fields, masks: Fields, parallel: Parallel
  ):
    """Allocates all of its memory at once."""
    super().__init__(num_rows, masks)
    copied = NamedSharding(parallel.local_mesh, PartitionSpec())
    # Made on the devices, so that the host never holds the zeros.
    blank = {
      name: jnp.zeros((num_rows, *shape), dtype, device=copied)
      for name, (shape, dtype) in pixels.items()
    }
    self._pixels = DeviceRows(blank, parallel)
    self._names = [*pixels]

  def take(
    self, rows: np.ndarray, new_rows: np.ndarray, new: Sequence[Row]
  ) -> dict[str, Any]:
    """See `Store`; pixels are `jax.Array`s, split over the devices."""
    if len(new_rows):
      # Padded with repeated rows to the batch size, so that every step runs
      # the same compiled program.
      padded = np.resize(np.arange(len(new_rows)), len(rows))
      stacked = {
        k: np.stack([new[int(i)][k] for i in padded]) for k in self._names
      }
      self._pixels.write(new_rows[padded], stacked)
    return super().take(rows, new_rows, new) | self._pixels.take(rows)
