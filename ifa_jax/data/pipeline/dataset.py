"""TFRecord shards to batches, whose rows are read once where they are kept.

Pictures stay uint8 up to the device. Text is padded to `text_len`, or to the
shortest of `text_buckets` that holds the batch.
"""

import functools
import glob
import os
from collections.abc import Iterator, Sequence

import numpy as np

from ifa_jax.batch import Batch, Geometry, pack_text, trim_text
from ifa_jax.data import schema
from ifa_jax.data.pipeline import decode_records
from ifa_jax.data.pipeline.host_cache import Stores, Unstored
from ifa_jax.data.pipeline.tfrecord import Shards
from ifa_jax.data.text.row_text import Reader, RowText
from ifa_jax.data.text.tokenizer import Encoded
from ifa_jax.files.shown import shown
from ifa_jax.runtime.tensorflow import tf


class Split:
  """The rows of one split of a prepared dataset, by number."""

  def __init__(self, dataset_dir: str, name: str):
    """Opens the shards of a split.

    Raises:
      ValueError: if there are none, if one is missing, cut off or damaged, or
        if they are not those that `dataset_info.json` tells of.
    """
    pattern = os.path.join(glob.escape(dataset_dir), f"*-{name}.tfrecord-*")
    paths = sorted(glob.glob(pattern))
    if not paths:
      raise ValueError(
        f"{dataset_dir}: want shards of the split {name!r}, found none"
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
    """Returns the readable part of a row."""
    fields = tf.train.Example.FromString(self._shards[row]).features.feature
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
    )

  def _check_sizes(self) -> None:
    """Compares the shards with what is recorded of them.

    `schema.find_prepared` finds no dataset without such a record.
    """
    if not os.path.exists(schema.info_file(self._folder)):
      return
    wanted = schema.read_sizes(self._folder).get(self.name)
    found = schema.Sizes(self._shards.lengths, self._shards.num_bytes)
    if found != wanted:
      raise ValueError(
        f"{self._folder}: want {_describe(wanted)} of the split {self.name!r},"
        f" as its dataset_info.json says, found {_describe(found)};"
        " prepare the dataset again"
      )

  @functools.cached_property
  def text_lengths(self) -> np.ndarray:
    """Tokens of each row's text, int32[n], without reading a record.

    Raises:
      ValueError: if the file of them is not there or not of these rows.
    """
    return schema.read_text_lengths(self._folder, self.name, len(self))

  def batches(
    self,
    order: np.ndarray,
    geometry: Geometry,
    visual_rows: np.ndarray | None = None,
    readers: Sequence[Reader] = (),
    longest: Sequence[int] | np.ndarray | None = None,
    stores: Stores | None = None,
  ) -> Iterator[Batch]:
    """Yields a batch of arrays for each line of an order.

    Args:
      order: int64[steps, B], see `sampling`. Filler rows have `valid` False.
      geometry: shapes of the fields.
      visual_rows: int64[n], the row whose pictures each row gets; None gives
        each its own.
      readers: of more fields.
      longest: tokens of each batch's longest text, where other processes have
        rows of it too; None counts those of the rows at hand.
      stores: where rows are kept once they are read; None keeps none.

    Raises:
      ValueError: for a record that is damaged or of another geometry.
    """
    stores = stores or Stores(Unstored(), Unstored())
    text_rows = np.maximum(order, 0)
    picture_rows = text_rows if visual_rows is None else visual_rows[text_rows]
    # Of a geometry without pictures, no picture is missing.
    seen_rows = picture_rows if geometry.slots else picture_rows[:, :0]
    missing = zip(
      stores.text.missing(text_rows),
      stores.pictures.missing(seen_rows),
      strict=True,
    )
    wanted = [decode_records.Wanted(*rows) for rows in missing]
    reading = decode_records.read(self._shards.__getitem__, wanted, geometry)
    for step, found in enumerate(self._named(reading)):
      fields = stores.text.take(text_rows[step], wanted[step].text, found.text)
      if geometry.slots:
        fields |= stores.pictures.take(
          picture_rows[step], wanted[step].pictures, found.pictures
        )
      for reader in readers:
        fields |= reader(text_rows[step], picture_rows[step])
      batch = Batch(**fields, valid=order[step] >= 0)
      least = 0 if longest is None else longest[step]
      buckets = [n for n in geometry.text_buckets if n >= least]
      yield pack_text(trim_text(batch, buckets), geometry.packed_buckets)

  def _named(
    self, reading: Iterator[decode_records.Found]
  ) -> Iterator[decode_records.Found]:
    """Adds the split's name to what is wrong with a record."""
    try:
      yield from reading
    except ValueError as error:
      raise ValueError(f"split {self.name!r}: {error}") from None


def _describe(sizes: schema.Sizes | None) -> str:
  """Returns "2 shards of (1024, 7) rows with 9120 bytes"."""
  if sizes is None:
    return "no shard"
  return (
    f"{len(sizes.shards)} shards of {shown(sizes.shards)} rows with"
    f" {sizes.num_bytes} bytes"
  )
