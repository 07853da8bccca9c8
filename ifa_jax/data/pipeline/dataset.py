"""TFRecord shards to batches; rows with a store are read only once.

Pictures stay uint8 up to the device. Text is padded to `text_len`, or to the
shortest of `text_buckets` that holds the batch.
"""

import functools
import glob
import os
from collections.abc import Iterator, Sequence

import numpy as np

from ifa_jax.batch import (
  Batch,
  Geometry,
  pack_text,
  trim_captions,
  trim_text,
)
from ifa_jax.data import schema
from ifa_jax.data.pipeline import decode_records
from ifa_jax.data.pipeline.host_cache import Stores
from ifa_jax.data.pipeline.sampling import Longest
from ifa_jax.data.pipeline.tfrecord import Shards
from ifa_jax.data.text.encoded import Caption, Encoded
from ifa_jax.data.text.row_text import Reader, RowText
from ifa_jax.files.shown import shown
from ifa_jax.runtime.tensorflow import tf


class Split:
  """The rows of one split of a prepared dataset, by number."""

  def __init__(self, dataset_dir: str, name: str):
    """Opens the shards of a split.

    Raises:
      ValueError: if there are none, if one is missing, truncated or damaged, or
        if they differ from `dataset_info.json`.
    """
    pattern = os.path.join(glob.escape(dataset_dir), f"*-{name}.tfrecord-*")
    paths = sorted(glob.glob(pattern))
    if not paths:
      raise ValueError(
        f"{dataset_dir}: expected shards of the split {name!r}, got none"
      )
    self.name = name
    self._folder = dataset_dir
    self._shards = Shards(paths)
    self._check_sizes()

  def __len__(self) -> int:
    """Returns the number of rows."""
    return len(self._shards)

  def __getitem__(self, row: int) -> bytes:
    """Returns a row's record, a serialised `tf.train.Example`."""
    return self._shards[row]

  def describe(self, row: int) -> RowText:
    """Returns a row without its pixels."""
    fields = tf.train.Example.FromString(self[row]).features.feature
    text = lambda key: [v.decode() for v in fields[key].bytes_list.value]  # noqa: E731
    numbers = lambda key: list(fields[key].int64_list.value)  # noqa: E731
    return RowText(
      id=text("id")[0],
      img_id=text("img_id")[0],
      words=text("words"),
      head=tuple(numbers("head_span")),
      tail=tuple(numbers("tail_span")),
      num_squares={
        name: len(fields[name].bytes_list.value) for name in schema.PICTURES
      },
      encoded=Encoded(
        numbers("input_ids"),
        numbers("word_ids"),
        *numbers("head_start"),
        *numbers("tail_start"),
      ),
      # Absent in datasets without captions.
      caption=Caption(
        text("caption"), numbers("caption_ids"), numbers("caption_word_ids")
      ),
    )

  def _check_sizes(self) -> None:
    # Shards of other origin have no such file; `schema.find_prepared` finds
    # only datasets that have one.
    if not os.path.exists(schema.info_file(self._folder)):
      return
    recorded = schema.read_sizes(self._folder).get(self.name)
    found = schema.Sizes(self._shards.lengths, self._shards.num_bytes)
    if found != recorded:
      raise ValueError(
        f"{self._folder}: expected {_describe(recorded)} of the split"
        f" {self.name!r}, according to dataset_info.json, got"
        f" {_describe(found)}; prepare the dataset again"
      )

  @functools.cached_property
  def text_lengths(self) -> np.ndarray:
    """Tokens of each row's text, int32[n], without reading a record.

    Raises:
      ValueError: if their file is missing or has another number of rows.
    """
    return schema.read_text_lengths(self._folder, self.name, len(self))

  def batches(
    self,
    order: np.ndarray,
    geometry: Geometry,
    visual_rows: np.ndarray | None = None,
    readers: Sequence[Reader] = (),
    longest: Longest | None = None,
    stores: Stores | None = None,
  ) -> Iterator[Batch]:
    """Yields a batch of arrays for each line of an order.

    Args:
      order: int64[steps, B], see `sampling`. Filler rows have `valid` False.
      geometry: shapes of the fields.
      visual_rows: int64[n], the row whose pictures each row gets; None: its
        own.
      readers: of further fields.
      longest: texts and captions of each global batch; None: this process has
        whole batches.
      stores: of rows that have been read; None stores nothing.

    Raises:
      ValueError: for a record that is damaged or of another geometry.
    """
    stores = stores or Stores()
    # Filler is -1 and becomes a copy of row 0.
    text_rows = np.maximum(order, 0)
    picture_rows = text_rows if visual_rows is None else visual_rows[text_rows]
    # Without pictures in the geometry, none are missing.
    seen_rows = picture_rows if geometry.slots else picture_rows[:, :0]
    # Decided for all steps in advance, so that tf.data can prefetch; rows
    # read in one step are stored by the time a later step needs them.
    new_text = stores.text.missing(text_rows)
    new_pictures = stores.pictures.missing(seen_rows)
    reading = decode_records.read(
      self.__getitem__,
      [*zip(new_text, new_pictures, strict=True)],
      geometry,
      f"split {self.name!r}",
    )
    for step, (texts, pictures) in enumerate(reading):
      fields = stores.text.take(text_rows[step], new_text[step], texts)
      if geometry.slots:
        fields |= stores.pictures.take(
          picture_rows[step], new_pictures[step], pictures
        )
      for reader in readers:
        fields |= reader(text_rows[step], picture_rows[step])
      batch = Batch(**fields, valid=order[step] >= 0)
      # All processes must choose the same bucket, or their programs differ.
      text, caption = (0, 1) if longest is None else (x[step] for x in longest)
      buckets = [n for n in geometry.text_buckets if n >= text]
      batch = trim_captions(trim_text(batch, buckets), int(caption))
      yield pack_text(batch, geometry.packed_buckets)


def _describe(sizes: schema.Sizes | None) -> str:
  """Returns "2 shards of (1024, 7) rows with 9120 bytes"."""
  if sizes is None:
    return "no shard"
  return (
    f"{len(sizes.shards)} shards of {shown(sizes.shards)} rows with"
    f" {sizes.num_bytes} bytes"
  )
