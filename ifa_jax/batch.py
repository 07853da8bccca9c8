"""The contract between data and models: batches and their shapes."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import struct

Array = jax.Array
# The type of an optional array. `Any` instead of None, because callers check
# the model's config, not the array, and a type checker cannot see that.
Given = Array | Any


class Batch(struct.PyTreeNode):
  """A batch of posts. Axis letters: `ifa_jax.models`; K crops of a kind.

  Pixels are uint8 in [0, 255], which the model scales and normalises, or
  floating point, which it takes as normalised. A visual field may be None: the
  batch then has none of its tokens. Masks are bool, True = real. Words and
  regions are there for models that read them.

  Attributes:
    input_ids: int32[B, T], WordPiece ids with the four entity markers.
    attention_mask: bool[B, T], True = a token, False = padding.
    token_type_ids: int32[B, T].
    head_start: int32[B], index of the head's opening marker `<s>`.
    tail_start: int32[B], index of the tail's opening marker `<o>`.
    image: [B, size, size, 3], the whole picture.
    image_mask: bool[B].
    grounded: [B, K, 4 patch, 4 patch, 3], crops found by visual grounding.
    grounded_mask: bool[B, K].
    detected: [B, K, 2 patch, 2 patch, 3], crops found by object detection.
    detected_mask: bool[B, K].
    words: int32[B, W], ids of whole words in the run's own vocabulary.
    word_mask: bool[B, W].
    head_word: int32[B], index of the head's first word.
    tail_word: int32[B], index of the tail's first word.
    regions: float32[B, M, Dv], features of the picture's objects, best first;
      zero where there is none.
    region_boxes: float32[B, M, 5]: x0, y0, x1, y1 and area, as fractions of the
      picture's width, height and area.
    region_mask: bool[B, M].
    alignment: float32[B, T, M], the structural alignment of tokens and objects.
    packed: int32[N], places of the texts' tokens in [B * T], one text behind
      the other, then B * T; None: texts are not to be packed. See `pack_text`.
    label: int32[B], relation ids, or None where nobody knows them.
    valid: bool[B], False for rows that only fill up the batch, or None.
  """

  input_ids: Array
  attention_mask: Array
  token_type_ids: Array
  head_start: Array
  tail_start: Array
  image: Given = None
  image_mask: Given = None
  grounded: Given = None
  grounded_mask: Given = None
  detected: Given = None
  detected_mask: Given = None
  words: Given = None
  word_mask: Given = None
  head_word: Given = None
  tail_word: Given = None
  regions: Given = None
  region_boxes: Given = None
  region_mask: Given = None
  alignment: Given = None
  packed: Given = None
  label: Given = None
  valid: Given = None


def trim_text(batch: Batch, buckets: Sequence[int]) -> Batch:
  """Cuts padding off a numpy batch, down to the first bucket that holds it."""
  longest = int(batch.attention_mask.sum(axis=1).max())
  fitting = [n for n in sorted(buckets) if n >= longest]
  if not fitting:
    return batch
  by_token = ("input_ids", "attention_mask", "token_type_ids", "alignment")
  fields = {name: getattr(batch, name) for name in by_token}
  return dataclasses.replace(
    batch, **{k: v[:, : fitting[0]] for k, v in fields.items() if v is not None}
  )


def pack_text(batch: Batch, buckets: Sequence[int]) -> Batch:
  """Says where a numpy batch's tokens are, so that models skip its padding.

  Args:
    batch: a whole one, or all that a single device is given.
    buckets: tokens a row, on average, that there may be room for. One that
      holds the batch is taken, the smallest; if none is below T, none is.
  """
  rows, text_len = batch.attention_mask.shape
  places = np.flatnonzero(batch.attention_mask).astype(np.int32)
  fitting = [
    n for n in sorted(buckets) if len(places) <= n * rows and n < text_len
  ]
  if not fitting:
    return batch
  packed = np.full(fitting[0] * rows, rows * text_len, np.int32)
  packed[: len(places)] = places
  return dataclasses.replace(batch, packed=packed)


# Each has a mask, and models do without those that are None.
_PICTURES = ("image", "grounded", "detected")


def drop_absent(batch: Batch) -> Batch:
  """Drops the visual fields of a numpy batch that no row has anything of."""
  absent = [
    name
    for name in _PICTURES
    if getattr(batch, name) is not None
    and not getattr(batch, f"{name}_mask").any()
  ]
  blank = dict.fromkeys(absent) | {f"{name}_mask": None for name in absent}
  return dataclasses.replace(batch, **blank)


# What makes a picture be there; features of regions count where a model masks
# nothing.
_THERE = (
  *("image_mask", "grounded_mask", "detected_mask"),
  *("regions", "region_mask", "alignment"),
)


def blank_pictures(batch: Batch) -> Batch:
  """Returns a numpy batch with every picture, crop and object absent."""
  there = {name: getattr(batch, name) for name in _THERE}
  return dataclasses.replace(
    batch, **{k: np.zeros_like(v) for k, v in there.items() if v is not None}
  )


# Of one row: (shape, dtype) of each field.
Fields = dict[str, tuple[tuple[int, ...], str]]


@dataclasses.dataclass(frozen=True)
class Geometry:
  """Shapes of a batch's fields; pictures are squares, sizes in pixels.

  Attributes:
    text_len: T, what text is padded to.
    text_buckets: shorter lengths that a batch may be padded to instead.
    slots: (field, pictures a row, size) of the visual fields to read.
    packed_buckets: tokens a row, on average, that a batch may be packed to.
  """

  text_len: int
  text_buckets: tuple[int, ...] = ()
  slots: tuple[tuple[str, int, int], ...] = ()
  packed_buckets: tuple[int, ...] = ()

  @property
  def text_fields(self) -> Fields:
    """What a row has of its text, padded to `text_len`."""
    return {
      "input_ids": ((self.text_len,), "int32"),
      "attention_mask": ((self.text_len,), "bool"),
      "token_type_ids": ((self.text_len,), "int32"),
      "head_start": ((), "int32"),
      "tail_start": ((), "int32"),
      "label": ((), "int32"),
    }

  @property
  def picture_fields(self) -> Fields:
    """What a row has of its pictures: their pixels."""
    return {
      name: ((*_count(name, num), size, size, 3), "uint8")
      for name, num, size in self.slots
    }

  @property
  def mask_fields(self) -> Fields:
    """Which of its pictures a row has."""
    return {
      f"{name}_mask": (_count(name, num), "bool") for name, num, _ in self.slots
    }

  @property
  def picture_bytes(self) -> int:
    """Bytes that the pixels of one row take."""
    return sum(math.prod(shape) for shape, _ in self.picture_fields.values())


def _count(name: str, num: int) -> tuple[int, ...]:
  """Returns the axis of the pictures of a kind; of whole ones there is none."""
  return () if name == "image" else (num,)
