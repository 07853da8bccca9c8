"""Pictures of a whole split on the devices, where batches are gathered.

A step then costs the way of its row numbers, not that of its pixels: MNRE's
are 5 GB as uint8, 0.3 MB a row.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from ifa_jax.batch import Fields
from ifa_jax.data.pipeline.host_cache import HostRows, Row
from ifa_jax.runtime.data_parallel import AXIS, Parallel

Tables = dict[str, jax.Array]


class DeviceRows:
  """Arrays with a line for each row, once on each device of this process."""

  def __init__(self, tables: Mapping[str, np.ndarray], parallel: Parallel):
    """Copies tables to the devices.

    Args:
      tables: name -> [n, ...], all of one length.
      parallel: how batches are split over devices.
    """
    self._parallel = parallel
    copied, split = (
      NamedSharding(parallel.local_mesh, PartitionSpec(*axes))
      for axes in ((), (AXIS,))
    )
    self._tables: Tables = jax.device_put(dict(tables), copied)
    self._take = jax.jit(
      _take, in_shardings=(copied, split), out_shardings=split
    )
    self._write = jax.jit(_write, donate_argnums=0, out_shardings=copied)

  @classmethod
  def blank(
    cls, num_rows: int, fields: Fields, parallel: Parallel
  ) -> "DeviceRows":
    """Returns tables of zeros, which `write` fills."""
    made = cls({}, parallel)
    copied = NamedSharding(parallel.local_mesh, PartitionSpec())
    made._tables = {
      name: jnp.zeros((num_rows, *shape), dtype, device=copied)
      for name, (shape, dtype) in fields.items()
    }
    return made

  def write(self, rows: np.ndarray, new: Mapping[str, np.ndarray]) -> None:
    """Replaces lines of the tables; each number of lines is compiled.

    Args:
      rows: int[k]; a line may be given more than once.
      new: for each table [k, ...].
    """
    new = {name: new[name] for name in self._tables}
    self._tables = self._write(self._tables, rows.astype(np.int32), new)

  def take(self, rows: np.ndarray) -> Tables:
    """Returns a batch, laid out as `Parallel.split` does.

    Args:
      rows: int[B], this process's rows of it.
    """
    folded = self._parallel.fold(rows.astype(np.int32))
    return jax.tree.map(self._parallel.join, self._take(self._tables, folded))


def _take(tables: Tables, rows: jax.Array) -> Tables:
  return {name: table[rows] for name, table in tables.items()}


def _write(tables: Tables, rows: jax.Array, new: Tables) -> Tables:
  return {k: table.at[rows].set(new[k]) for k, table in tables.items()}


class DeviceStore:
  """A `Store` of pictures: masks in memory, pixels on the devices."""

  def __init__(
    self, num_rows: int, pixels: Fields, masks: Fields, parallel: Parallel
  ):
    """Has no row yet; the room for all of them is taken."""
    self._masks = HostRows(num_rows, masks)
    self._pixels = DeviceRows.blank(num_rows, pixels, parallel)
    self._names = [*pixels]

  def missing(self, batches: np.ndarray) -> list[np.ndarray]:
    """See `Store`."""
    return self._masks.missing(batches)

  def take(
    self, rows: np.ndarray, new_rows: np.ndarray, new: Sequence[Row]
  ) -> dict[str, np.ndarray | jax.Array]:
    """See `Store`; pixels are `jax.Array`s, split over the devices."""
    if len(new_rows):
      # Always as many as the batch has, so that nothing is compiled anew.
      padded = np.resize(np.arange(len(new_rows)), len(rows))
      stacked = {
        k: np.stack([new[int(i)][k] for i in padded]) for k in self._names
      }
      self._pixels.write(new_rows[padded], stacked)
    return self._masks.take(rows, new_rows, new) | self._pixels.take(rows)
