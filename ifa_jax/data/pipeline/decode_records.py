"""Records to arrays: parsed and decoded by tf.data, several at a time."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.batch import Geometry
from ifa_jax.runtime.tensorflow import tf

# The model runs elsewhere; TensorFlow must not take the accelerators' memory.
tf.config.set_visible_devices([], "GPU")
tf.config.set_visible_devices([], "TPU")

_TEXT = {
  "input_ids": tf.io.FixedLenSequenceFeature([], tf.int64, True),
  "head_start": tf.io.FixedLenFeature([], tf.int64),
  "tail_start": tf.io.FixedLenFeature([], tf.int64),
  "relation": tf.io.FixedLenFeature([], tf.int64),
}
_FILES = tf.io.FixedLenSequenceFeature([], tf.string, True)


class Wanted(NamedTuple):
  """Rows to read at one step, each once.

  Attributes:
    text: int[a], rows whose text is wanted.
    pictures: int[b], rows whose pictures are wanted.
  """

  text: np.ndarray
  pictures: np.ndarray


class Found(NamedTuple):
  """What was read at one step.

  Attributes:
    text: for each row of `Wanted.text` its `Geometry.text_fields`.
    pictures: likewise `picture_fields` and `mask_fields`.
  """

  text: list[dict[str, np.ndarray]]
  pictures: list[dict[str, np.ndarray]]


def read(
  records: Callable[[int], bytes],
  steps: Sequence[Wanted],
  geometry: Geometry,
) -> Iterator[Found]:
  """Yields what each step wants; later steps are read ahead.

  A record whose text and pictures are wanted at one step is read once.

  Args:
    records: returns the record of a row; called from several threads.
    steps: what to read.
    geometry: shapes of the fields.

  Raises:
    ValueError: for a record that is damaged or of another geometry.
  """
  rows = [np.union1d(*wanted).astype(np.int64) for wanted in steps]
  tasks = [
    (row, row in wanted.text, row in wanted.pictures)
    for union, wanted in zip(rows, steps, strict=True)
    for row in union
  ]
  stream = iter(_stream(records, tasks, geometry) if tasks else ())
  try:
    for union in rows:
      yield _group(itertools.islice(stream, len(union)))
  except tf.errors.InvalidArgumentError as error:
    raise ValueError(_cause(error)) from None


def _group(read_rows: Iterator[dict[str, Any]]) -> Found:
  """Sorts rows into those with text and those with pictures, in order."""
  found = Found([], [])
  for row in read_rows:
    if row["wants_text"]:
      found.text.append(row["text"])
    if row["wants_pictures"]:
      found.pictures.append(row["pictures"])
  return found


def _stream(
  records: Callable[[int], bytes],
  tasks: Sequence[tuple[int, bool, bool]],
  geometry: Geometry,
) -> Iterator[dict[str, Any]]:
  """Yields each task with the fields that it wants, blank ones in between."""
  kinds = _TEXT | {name: _FILES for name, _, _ in geometry.slots}

  def load(row, wants_text, wants_pictures):
    record = tf.numpy_function(records, [row], tf.string)
    fields = tf.io.parse_single_example(tf.ensure_shape(record, []), kinds)
    return {
      "wants_text": wants_text,
      "wants_pictures": wants_pictures,
      "text": _pad_text(fields, geometry.text_len),
      "pictures": _decode_pictures(fields, wants_pictures, geometry),
    }

  columns = tuple(map(np.array, zip(*tasks, strict=True)))
  rows = tf.data.Dataset.from_tensor_slices(columns)
  read_rows = rows.map(load, tf.data.AUTOTUNE, deterministic=True)
  return read_rows.prefetch(tf.data.AUTOTUNE).as_numpy_iterator()  # pyright: ignore[reportReturnType]


def _cause(error: tf.errors.OpError) -> str:
  """Returns what went wrong, without TensorFlow's node names and traceback."""
  first_line = error.message.splitlines()[0]
  return re.sub(r"^(\{\{.*?\}\} |ValueError: )*", "", first_line)


def _pad_text(fields: dict[str, tf.Tensor], text_len: int) -> dict[str, Any]:
  """Returns the text fields of a parsed record, padded to int32[T]."""
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


def _decode_pictures(
  files: dict[str, tf.Tensor], is_wanted: tf.Tensor, geometry: Geometry
) -> dict[str, tf.Tensor]:
  """Decodes a record's pictures with their masks; blank if nobody wants any."""
  shapes = geometry.picture_fields | geometry.mask_fields
  fields = {}
  for name, count, size in geometry.slots:
    num_found = tf.where(is_wanted, tf.size(files[name]), 0)
    squares = [
      _decode_square(files[name], i, i < num_found, size) for i in range(count)
    ]
    fields[name] = tf.stack(squares)
    fields[f"{name}_mask"] = tf.range(count) < num_found
  return {
    name: tf.reshape(field, shapes[name][0]) for name, field in fields.items()
  }


def _decode_square(
  files: tf.Tensor, number: int, is_there: tf.Tensor, size: int
) -> tf.Tensor:
  """Decodes one of some PNG files to uint8[size, size, 3], zero if absent."""

  def decode():
    picture = tf.io.decode_png(files[number], channels=3)
    return tf.ensure_shape(picture, [size, size, 3])

  return tf.cond(is_there, decode, lambda: tf.zeros([size, size, 3], tf.uint8))
