"""Splits of random posts that lie on the device, as large as one likes."""

from collections.abc import Iterator, Mapping

import numpy as np

from benchmarks import lengths
from ifa_jax import benchmark
from ifa_jax.batch import Batch, trim_text
from ifa_jax.data.pipeline import sampling as orders
from ifa_jax.data.pipeline.device_cache import DeviceRows
from ifa_jax.models.config import ModelConfig
from ifa_jax.runtime.data_parallel import Parallel

# Of a row's text, and of its pictures.
_TEXT = ("input_ids", "attention_mask", "token_type_ids")
_TEXT += ("head_start", "tail_start", "label")


class MadeSplit:
  """Random posts with texts of real lengths; all pictures are there.

  Attributes:
    num_picture_bytes: that the pictures take on each device.
  """

  def __init__(
    self,
    model: ModelConfig,
    num_rows: int,
    of_length: Mapping[int, int],
    text_len: int,
    parallel: Parallel,
  ):
    """Draws all posts and sends their pictures to the devices.

    Args:
      model: that reads them.
      num_rows: of the split.
      of_length: tokens -> rows, which texts' lengths are drawn from.
      text_len: T of the longest.
      parallel: how batches are split over devices.
    """
    posts = benchmark.random_batch(model, num_rows, text_len)
    drawn = lengths.draw(of_length, num_rows, text_len)
    posts = lengths.shorten(posts, drawn)
    self._text = {name: getattr(posts, name) for name in _TEXT}
    names = [name for name, _, _ in model.picture_slots]
    pixels = {name: getattr(posts, name) for name in names}
    self._masks = {f"{k}_mask": getattr(posts, f"{k}_mask") for k in names}
    self._pictures = DeviceRows(pixels, parallel)
    self.num_picture_bytes = sum(x.nbytes for x in pixels.values())
    self._num_rows = num_rows

  def __len__(self) -> int:
    """Returns the number of rows."""
    return self._num_rows

  def batches(
    self, order: np.ndarray, buckets: tuple[int, ...]
  ) -> Iterator[Batch]:
    """Yields batches; pixels lie on the devices, the rest is numpy arrays.

    Args:
      order: int64[steps, B] of row numbers, see `data.pipeline.sampling`.
      buckets: lengths that a batch may be padded to.
    """
    for rows in order:
      valid = rows != orders.FILLER
      # Filler is some row, and does not count.
      rows = np.where(valid, rows, 0)
      fields = {
        name: array[rows] for name, array in (self._text | self._masks).items()
      }
      batch = trim_text(Batch(**fields, valid=valid), buckets)
      yield batch.replace(**self._pictures.take(rows))
