"""The cache of decoded rows, `data.cache` of a config.

auto     device or host if all rows fit there, otherwise none
host     numpy arrays in this process's memory
device   pixels on every device, the rest in memory
none     every epoch reads and decodes its rows again
"""

import logging
from collections.abc import Mapping

import jax

from ifa_jax.batch import Geometry
from ifa_jax.data.pipeline import host_cache
from ifa_jax.data.pipeline.device_cache import DevicePictures
from ifa_jax.data.pipeline.host_cache import HostRows, Store, Stores
from ifa_jax.runtime.data_parallel import Parallel

PLACES = ("auto", "host", "device", "none")

# Share of the free memory; the model, its activations and the batches need the
# rest.
_SHARE = 0.5
# Smaller caches are not logged, in bytes.
_LOGGED_BYTES = 10**9

_log = logging.getLogger("ifa_jax")


class RowCache:
  """Stores the rows of all splits of a dataset as they are read."""

  def __init__(
    self,
    place: str,
    num_rows: Mapping[str, int],
    geometry: Geometry,
    parallel: Parallel,
  ):
    """Chooses the place for `num_rows` of each split; allocates nothing yet."""
    self._num_rows = num_rows
    self._geometry = geometry
    self._parallel = parallel
    self._text: dict[str, Store] = {}
    self._pictures: dict[str, Store] = {}
    num_bytes = sum(num_rows.values()) * geometry.picture_bytes
    self.place = choose(num_bytes) if place == "auto" else place
    if num_bytes > _LOGGED_BYTES:
      _log.info(
        "Decoded pictures: %.1f GB, cache %s", num_bytes / 1e9, self.place
      )

  def stores(self, split: str, on_host: bool) -> Stores:
    """Returns the stores of a split, the same ones on every call.

    With `on_host`, batches are numpy arrays: pictures cached on devices are
    then read from disk.
    """
    if self.place == "none":
      return Stores()
    num_rows, geometry = self._num_rows[split], self._geometry
    if split not in self._text:
      self._text[split] = HostRows(num_rows, geometry.text_fields)
    # Fetching pixels back from the devices would wait for the current step.
    if self.place == "device" and on_host:
      return Stores(self._text[split])
    if split not in self._pictures:
      pixels, masks = geometry.picture_fields, geometry.mask_fields
      self._pictures[split] = (
        DevicePictures(num_rows, pixels, masks, self._parallel)
        if self.place == "device"
        else HostRows(num_rows, pixels | masks)
      )
    return Stores(self._text[split], self._pictures[split])


def choose(num_bytes: int) -> str:
  """Returns the place for so many bytes: "device", "host" or "none"."""
  # A CPU device has no memory apart from the host's.
  if jax.default_backend() != "cpu":
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    # A backend without statistics counts as full.
    free = min(
      x.get("bytes_limit", 0) - x.get("bytes_in_use", 0) for x in stats
    )
    if num_bytes <= _SHARE * free:
      return "device"
  free = host_cache.free_memory()
  return "host" if num_bytes <= _SHARE * free else "none"
