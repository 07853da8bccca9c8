"""Shapes of what a batch holds of a record."""

import dataclasses
import math

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
