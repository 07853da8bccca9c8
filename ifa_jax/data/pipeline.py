"""TFRecord shards to batches: read, decoded and padded by tf.data.

Pictures stay uint8 up to the device. Text is padded to `text_len`, or to the
shortest of `text_buckets` that holds the batch.
"""

import dataclasses
import glob
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ifa_jax.batch import Batch, trim_text
from ifa_jax.data.rows import Reader, RowText
from ifa_jax.data.shards import Shards
from ifa_jax.data.tokenization import Encoded

# The model runs elsewhere; TensorFlow must not take the accelerators' memory.
tf.config.set_visible_devices([], "GPU")
tf.config.set_visible_devices([], "TPU")

_TEXT = {
  "input_ids": tf.io.FixedLenSequenceFeature([], tf.int64, True),
  "head_start": tf.io.FixedLenFeature([], tf.int64),
  "tail_start": tf.io.FixedLenFeature([], tf.int64),
  "relation": tf.io.FixedLenFeature([], tf.int64),
}
_PICTURES = {
  name: tf.io.FixedLenSequenceFeature([], tf.string, True)
  for name in ("image", "grounded", "detected")
}


@dataclasses.dataclass(frozen=True)
class Geometry:
  """Shapes of a batch's fields; pictures are squares, sizes in pixels.

  Attributes:
    text_len: T, what text is padded to.
    text_buckets: shorter lengths that a batch may be padded to instead.
    slots: (field, pictures a row, size) of the visual fields to read.
  """

  text_len: int
  text_buckets: tuple[int, ...] = ()
  slots: tuple[tuple[str, int, int], ...] = ()


class Split:
  """The rows of one split of a prepared dataset, by number."""

  def __init__(self, dataset_dir: str, name: str):
    """Opens the shards of a split.

    Raises:
      ValueError: if there are none, or one is damaged.
    """
    pattern = os.path.join(glob.escape(dataset_dir), f"*-{name}.tfrecord-*")
    paths = sorted(glob.glob(pattern))
    if not paths:
      raise ValueError(
        f"{dataset_dir}: want shards of the split {name!r}, found none"
      )
    self.name = name
    self._shards = Shards(paths)

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
        name: len(fields[name].bytes_list.value) for name in _PICTURES
      },
      encoded=Encoded(
        numbers("input_ids"),
        numbers("word_ids"),
        *numbers("head_start"),
        *numbers("tail_start"),
      ),
    )

  def batches(
    self,
    order: np.ndarray,
    geometry: Geometry,
    visual_rows: np.ndarray | None = None,
    readers: Sequence[Reader] = (),
  ) -> Iterator[Batch]:
    """Yields a batch of numpy arrays for each line of an order.

    Args:
      order: int64[steps, B], see `order`. Filler rows have `valid` False.
      geometry: shapes of the fields.
      visual_rows: int64[n], the row whose pictures each row gets; None gives
        each its own.
      readers: of more fields.

    Raises:
      ValueError: for a record that is damaged or of another geometry.
    """
    text_rows = np.maximum(order, 0)
    picture_rows = text_rows if visual_rows is None else visual_rows[text_rows]
    rows = tf.data.Dataset.from_tensor_slices(
      (text_rows.ravel(), picture_rows.ravel(), order.ravel() >= 0)
    )
    read = lambda row: tf.ensure_shape(  # noqa: E731
      tf.numpy_function(lambda i: self._shards[i], [row], tf.string), []
    )

    def load(text_row, picture_row, valid):
      fields = _read_text(read(text_row), geometry.text_len)
      if geometry.slots:
        fields |= _read_pictures(read(picture_row), geometry.slots)
      return fields | {"valid": valid}

    dataset = (
      rows.map(load, tf.data.AUTOTUNE, deterministic=True)
      .batch(order.shape[1], drop_remainder=True)
      .prefetch(2)
    )
    try:
      for rows, sources, fields in zip(
        text_rows, picture_rows, dataset.as_numpy_iterator(), strict=True
      ):
        for reader in readers:
          fields |= reader(rows, sources)
        yield trim_text(Batch(**fields), geometry.text_buckets)
    except tf.errors.InvalidArgumentError as error:
      raise ValueError(f"split {self.name!r}: {_cause(error)}") from None


def _cause(error: tf.errors.OpError) -> str:
  """Returns what went wrong, without TensorFlow's node names and traceback."""
  first_line = error.message.splitlines()[0]
  return re.sub(r"^(\{\{.*?\}\} |ValueError: )*", "", first_line)


def _read_text(record: tf.Tensor, text_len: int) -> dict[str, Any]:
  """Parses the text fields of a record, padded to int32[T]."""
  fields = tf.io.parse_single_example(record, _TEXT)
  ids = tf.cast(fields["input_ids"], tf.int32)
  padding = text_len - tf.size(ids)
  fits = tf.debugging.assert_non_negative(
    padding, "a text is longer than text_len"
  )
  # Else padding may fail first, with words of its own.
  with tf.control_dependencies([fits]):
    padding = tf.identity(padding)
  to_len = lambda x: tf.ensure_shape(tf.pad(x, [[0, padding]]), [text_len])  # noqa: E731
  return {
    "input_ids": to_len(ids),
    "attention_mask": to_len(tf.ones_like(ids, tf.bool)),
    "token_type_ids": tf.zeros(text_len, tf.int32),
    "head_start": tf.cast(fields["head_start"], tf.int32),
    "tail_start": tf.cast(fields["tail_start"], tf.int32),
    "label": tf.cast(fields["relation"], tf.int32),
  }


def _read_pictures(
  record: tf.Tensor, slots: Sequence[tuple[str, int, int]]
) -> dict[str, tf.Tensor]:
  """Decodes a record's pictures to uint8[K, size, size, 3] with bool[K]."""
  encoded = tf.io.parse_single_example(record, _PICTURES)
  fields = {}
  for name, count, size in slots:
    found = tf.size(encoded[name])
    blank = tf.zeros([size, size, 3], tf.uint8)

    def decode(i, name=name, size=size):
      picture = tf.io.decode_png(encoded[name][i], channels=3)
      return tf.ensure_shape(picture, [size, size, 3])

    pictures = tf.stack(
      [
        tf.cond(i < found, lambda i=i, d=decode: d(i), lambda b=blank: b)
        for i in range(count)
      ]
    )
    mask = tf.range(count) < found
    if name == "image":
      pictures, mask = pictures[0], mask[0]
    fields |= {name: pictures, f"{name}_mask": mask}
  return fields
