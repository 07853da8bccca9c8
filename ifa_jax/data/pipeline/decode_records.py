"""Records to arrays: parsed and decoded in parallel by tf.data."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ifa_jax.batch import Geometry
from ifa_jax.runtime.tensorflow import tf

# JAX runs the model; TensorFlow must not reserve the accelerators' memory.
tf.config.set_visible_devices([], "GPU")
tf.config.set_visible_devices([], "TPU")

_TEXT = {
  "input_ids": tf.io.FixedLenSequenceFeature([], tf.int64, True),
  "head_start": tf.io.FixedLenFeature([], tf.int64),
  "tail_start": tf.io.FixedLenFeature([], tf.int64),
  "relation": tf.io.FixedLenFeature([], tf.int64),
}
_FILES = tf.io.FixedLenSequenceFeature([], tf.string, True)

Row = dict[str, np.ndarray]


def read(
  records: Callable[[int], bytes],
  steps: Sequence[tuple[np.ndarray, np.ndarray]],
  geometry: Geometry,
  where: str,
) -> Iterator[tuple[list[Row], list[Row]]]:
  """Yields the texts and the pictures of each step; later steps are prefetched.

  A record whose text and pictures are needed at one step is read once.

  Args:
    records: returns the record of a row; called from several threads.
    steps: int[a] and int[b], the rows whose text and whose pictures to read.
    geometry: shapes of the fields.
    where: name of the records, for errors.

  Yields:
    `Geometry.text_fields` of the a rows; `picture_fields` and `mask_fields` of
    the b rows.

  Raises:
    ValueError: for a record that is damaged or of another geometry.
  """
  tasks = [
    [(row, row in text, row in pictures) for row in np.union1d(text, pictures)]
    for text, pictures in steps
  ]
  flat = [*itertools.chain(*tasks)]
  # One stream for all steps, so that tf.data works ahead across steps.
  stream = iter(_stream(records, flat, geometry) if flat else ())
  try:
    for step in tasks:
      rows = [*itertools.islice(stream, len(step))]
      yield (
        [row["text"] for row in rows if row["needs_text"]],
        [row["pictures"] for row in rows if row["needs_pictures"]],
      )
  except tf.errors.InvalidArgumentError as error:
    # Without TensorFlow's node names and traceback.
    first_line = error.message.splitlines()[0]
    reason = re.sub(r"^(\{\{.*?\}\} |ValueError: )*", "", first_line)
    raise ValueError(f"{where}: {reason}") from None


def _stream(
  records: Callable[[int], bytes],
  tasks: Sequence[tuple[int, bool, bool]],
  geometry: Geometry,
) -> Iterator[dict[str, Any]]:
  kinds = _TEXT | {name: _FILES for name, _, _ in geometry.slots}

  def load(row, needs_text, needs_pictures):
    record = tf.numpy_function(records, [row], tf.string)
    fields = tf.io.parse_single_example(tf.ensure_shape(record, []), kinds)
    return {
      "needs_text": needs_text,
      "needs_pictures": needs_pictures,
      "text": _pad_text(fields, geometry.text_len),
      "pictures": _decode_pictures(fields, needs_pictures, geometry),
    }

  rows, *needs = zip(*tasks, strict=True)
  columns = (np.array(rows, np.int64), *map(np.array, needs))
  dataset = tf.data.Dataset.from_tensor_slices(columns)
  # Deterministic: `read` splits the stream into steps by counting.
  loaded = dataset.map(load, tf.data.AUTOTUNE, deterministic=True)
  return loaded.prefetch(tf.data.AUTOTUNE).as_numpy_iterator()  # pyright: ignore[reportReturnType]


def _pad_text(fields: dict[str, tf.Tensor], text_len: int) -> dict[str, Any]:
  ids = tf.cast(fields["input_ids"], tf.int32)
  padding = text_len - tf.size(ids)
  fits = tf.debugging.assert_non_negative(
    padding, "a text is longer than text_len"
  )
  # Without the dependency, tf.pad may fail first, with an obscure message.
  with tf.control_dependencies([fits]):
    padding = tf.identity(padding)
  pad = lambda x: tf.ensure_shape(tf.pad(x, [[0, padding]]), [text_len])  # noqa: E731
  return {
    "input_ids": pad(ids),
    "attention_mask": pad(tf.ones_like(ids, tf.bool)),
    "token_type_ids": tf.zeros(text_len, tf.int32),
    "head_start": tf.cast(fields["head_start"], tf.int32),
    "tail_start": tf.cast(fields["tail_start"], tf.int32),
    "label": tf.cast(fields["relation"], tf.int32),
  }


def _decode_pictures(
  files: dict[str, tf.Tensor], is_needed: tf.Tensor, geometry: Geometry
) -> dict[str, tf.Tensor]:
  """Decodes a record's pictures with their masks; all blank if not needed."""
  shapes = geometry.picture_fields | geometry.mask_fields
  fields = {}
  for name, count, size in geometry.slots:
    # Decoding takes most of the time, so a record read for its text skips it.
    num_found = tf.where(is_needed, tf.size(files[name]), 0)
    squares = [
      _decode_square(files[name], i, i < num_found, size) for i in range(count)
    ]
    fields[name] = tf.stack(squares)
    fields[f"{name}_mask"] = tf.range(count) < num_found
  # The whole picture has no axis of crops.
  return {
    name: tf.reshape(field, shapes[name][0]) for name, field in fields.items()
  }


def _decode_square(
  files: tf.Tensor, number: int, exists: tf.Tensor, size: int
) -> tf.Tensor:
  def decode():
    picture = tf.io.decode_png(files[number], channels=3)
    return tf.ensure_shape(picture, [size, size, 3])

  # Both branches of tf.where would run, and index past the end.
  return tf.cond(exists, decode, lambda: tf.zeros([size, size, 3], tf.uint8))
