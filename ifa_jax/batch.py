"""The contract between data and models: batches and their shapes."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import struct

Array = jax.Array
# An optional array. `Any` instead of None, because callers check the model's
# config, not the array, which a type checker cannot see.
Given = Array | Any


class Batch(struct.PyTreeNode):
  """A batch of posts. Axis letters: `ifa_jax.models`.

  Pixels are uint8 in [0, 255], which the model normalises, or normalised
  floats. A visual field may be None, for a batch without its tokens. Masks are
  bool, True = real. Words and regions are present for models that read them.

  Attributes:
    input_ids: int32[B, T], WordPiece ids with the four entity markers.
    attention_mask: bool[B, T], False = padding.
    token_type_ids: int32[B, T], 1 for a caption that follows the text.
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
    regions: float32[B, M, Dv], features of the picture's objects, best first; 0
      for absent ones.
    region_boxes: float32[B, M, 5]: x0, y0, x1, y1 and area, as fractions of the
      picture's.
    region_mask: bool[B, M].
    alignment: float32[B, T, M], the structural alignment of tokens and objects.
    caption_ids: int32[B, U], WordPieces of the picture's caption, for models
      that read it apart from the text.
    caption_mask: bool[B, U].
    packed: int32[N], indices of the tokens in [B * T], text by text, padded
      with B * T; None for texts that are not packed. See `pack_text`.
    label: int32[B], relation ids, or None if unknown.
    valid: bool[B], False for rows that fill up the batch, or None.
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
  caption_ids: Given = None
  caption_mask: Given = None
  packed: Given = None
  label: Given = None
  valid: Given = None


def trim_text(batch: Batch, buckets: Sequence[int]) -> Batch:
  """Trims a numpy batch's texts to the smallest bucket that holds them."""
  longest = int(batch.attention_mask.sum(axis=1).max())
  fitting = [n for n in sorted(buckets) if n >= longest]
  if not fitting:
    return batch
  by_token = ("input_ids", "attention_mask", "token_type_ids", "alignment")
  fields = {name: getattr(batch, name) for name in by_token}
  return dataclasses.replace(
    batch, **{k: v[:, : fitting[0]] for k, v in fields.items() if v is not None}
  )


# Captions have from 10 tokens to hundreds, depending on their model. Each
# length is compiled once.
_CAPTION_STEP = 16


def trim_captions(batch: Batch, longest: int = 1) -> Batch:
  """Trims a numpy batch's `caption_ids` to a multiple of 16 tokens.

  Args:
    batch: with captions of that field, or without.
    longest: tokens of the longest caption in other parts of the batch.
  """
  if batch.caption_mask is None:
    return batch
  longest = max(longest, int(batch.caption_mask.sum(axis=1).max()))
  kept = -(-longest // _CAPTION_STEP) * _CAPTION_STEP
  return dataclasses.replace(
    batch,
    caption_ids=batch.caption_ids[:, :kept],
    caption_mask=batch.caption_mask[:, :kept],
  )


def pack_text(batch: Batch, buckets: Sequence[int]) -> Batch:
  """Adds the indices of a numpy batch's tokens, so that models skip padding.

  Args:
    batch: of one device.
    buckets: possible lengths of the packed texts, in tokens per row. The
      smallest that holds the batch is used, and only if it is below T.
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


def drop_absent(batch: Batch) -> Batch:
  """Drops the visual fields of a numpy batch that are absent in every row."""
  absent: dict[str, None] = {}
  for name in ("image", "grounded", "detected"):
    mask = getattr(batch, f"{name}_mask")
    if mask is not None and not mask.any():
      absent |= {name: None, f"{name}_mask": None}
  return dataclasses.replace(batch, **absent)


def blank_pictures(batch: Batch) -> Batch:
  """Returns a numpy batch without pictures, their objects and captions."""
  # Masks, and the features of regions, for models that mask nothing.
  masks = ("image_mask", "grounded_mask", "detected_mask", "region_mask")
  masks += ("caption_mask", "regions", "alignment")
  present = {k: getattr(batch, k) for k in masks}
  blank = {k: np.zeros_like(v) for k, v in present.items() if v is not None}
  # A caption that follows the text is its second segment.
  text = batch.attention_mask & (batch.token_type_ids == 0)
  return dataclasses.replace(batch, attention_mask=text, **blank)


# Field -> (shape, dtype) of a single row.
Fields = dict[str, tuple[tuple[int, ...], str]]


@dataclasses.dataclass(frozen=True)
class Geometry:
  """Shapes of a batch's fields.

  Attributes:
    text_len: T, the padded length of texts.
    text_buckets: shorter lengths that a batch may be padded to.
    slots: (field, pictures per row, side in pixels) of each visual field.
    packed_buckets: tokens per row that a batch may be packed to.
  """

  text_len: int
  text_buckets: tuple[int, ...] = ()
  slots: tuple[tuple[str, int, int], ...] = ()
  packed_buckets: tuple[int, ...] = ()

  @property
  def text_fields(self) -> Fields:
    """Fields of a row's text, padded to `text_len`."""
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
    """Pixels of a row's pictures."""
    return {
      name: ((*_slot_axis(name, count), size, size, 3), "uint8")
      for name, count, size in self.slots
    }

  @property
  def mask_fields(self) -> Fields:
    """Masks of a row's pictures."""
    return {
      f"{name}_mask": (_slot_axis(name, count), "bool")
      for name, count, _ in self.slots
    }

  @property
  def picture_bytes(self) -> int:
    """Size of a row's pixels in bytes."""
    return sum(math.prod(shape) for shape, _ in self.picture_fields.values())


def _slot_axis(name: str, count: int) -> tuple[int, ...]:
  # A post has a single whole picture, without an axis for slots.
  return () if name == "image" else (count,)
