"""Whether decoded rows are kept, and where: `data.cache` of a config.

auto     device or host, if all rows fit there; else none
host     numpy arrays in this process's memory
device   pixels on every device, the rest in memory
none     every epoch reads and decodes its rows again
"""

import logging
from collections.abc import Mapping
from typing import Any

import jax
import psutil

from ifa_jax.batch import Geometry
from ifa_jax.data.pipeline.device_cache import DeviceStore
from ifa_jax.data.pipeline.host_cache import HostRows, Stores, Unstored
from ifa_jax.runtime.data_parallel import Parallel

PLACES = ("auto", "host", "device", "none")

# Of what is free: the model, its activations and the batches need room too.
_SHARE = 0.5

_log = logging.getLogger("ifa_jax")
# Memory that a user may want to know of, in bytes.
_WORTH_A_LINE = 10**9


class RowCache:
  """The rows of all splits of a dataset, kept as they are read."""

  def __init__(
    self,
    place: str,
    num_rows: Mapping[str, int],
    geometry: Geometry,
    parallel: Parallel,
  ):
    """Decides where; takes no room yet.

    Args:
      place: one of `PLACES`.
      num_rows: rows of each split.
      geometry: shapes of what is kept.
      parallel: how batches are split over devices.
    """
    self._num_rows = num_rows
    self._geometry = geometry
    self._parallel = parallel
    self._text: dict[str, HostRows] = {}
    self._pictures: dict[str, HostRows | DeviceStore] = {}
    num_bytes = sum(num_rows.values()) * geometry.picture_bytes
    self.place = choose(num_bytes) if place == "auto" else place
    if num_bytes > _WORTH_A_LINE:
      _log.info(
        "Decoded pictures: %.1f GB, cache %s", num_bytes / 1e9, self.place
      )

  def stores(self, split: str, on_host: bool) -> Stores | None:
    """Returns where a split's rows are kept, or None if nowhere.

    Args:
      split: name of the split's files.
      on_host: whether batches must be numpy arrays; pictures that are kept on
        the devices are then read anew.
    """
    if self.place == "none":
      return None
    num_rows = self._num_rows[split]
    if split not in self._text:
      self._text[split] = HostRows(num_rows, self._geometry.text_fields)
    if self.place == "device" and on_host:
      return Stores(self._text[split], Unstored())
    if split not in self._pictures:
      self._pictures[split] = self._make_pictures(num_rows)
    return Stores(self._text[split], self._pictures[split])

  def _make_pictures(self, num_rows: int) -> HostRows | DeviceStore:
    pixels, masks = self._geometry.picture_fields, self._geometry.mask_fields
    if self.place == "device":
      return DeviceStore(num_rows, pixels, masks, self._parallel)
    return HostRows(num_rows, pixels | masks)


def choose(num_bytes: int) -> str:
  """Returns where so many bytes fit: "device", "host" or "none".

  Devices come first where they are no part of this machine's memory.
  """
  if jax.default_backend() != "cpu":
    free = min(_free_bytes(device) for device in jax.local_devices())
    if num_bytes <= _SHARE * free:
      return "device"
  free = psutil.virtual_memory().available
  return "host" if num_bytes <= _SHARE * free else "none"


def _free_bytes(device: Any) -> int:
  """Returns what a device has left, 0 where it does not tell."""
  stats = device.memory_stats() or {}
  return stats.get("bytes_limit", 0) - stats.get("bytes_in_use", 0)
