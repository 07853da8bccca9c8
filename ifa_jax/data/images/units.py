"""Units of the edges of boxes: pixels, or fractions of the picture."""

from collections.abc import Sequence
from typing import Any

from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

UNITS = PIXEL, FRACTION = "pixel", "fraction"
# Digits of a pixel. Without rounding, an edge at 325 becomes 325.00000000001,
# and a crop has one row of pixels more.
_DIGITS = 3


def to_pixels(
  edges: Sequence[float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
  """Returns edges in pixels of a picture of (width, height), given fractions.

  Rounded to a thousandth of a pixel, and clipped to the picture.
  """
  x0, y0, x1, y1 = (
    min(max(round(edge * side, _DIGITS), 0), side)
    for edge, side in zip(edges, size * 2, strict=True)
  )
  return x0, y0, x1, y1


def check(listed: Sequence[Sequence[float]], unit: str, where: str) -> None:
  """Raises ValueError for boxes of a picture in another unit."""
  if unit == PIXEL:
    check_pixels(listed, where)
  else:
    _check_fractions(listed, where)


def check_pixels(listed: Sequence[Any], where: str) -> None:
  """Raises ValueError for boxes in fractions of the picture, not in pixels.

  Fractions end before 2: they may slightly exceed 1. A box of one whole pixel
  in the corner, a detector's failure, is accepted among others. Malformed boxes
  are ignored.
  """
  small = [are_edges(edges) and max(edges) < 2 for edges in listed]
  for index, edges in enumerate(listed):
    if small[index] and (all(small) or any(edge % 1 for edge in edges)):
      raise ValueError(
        f"{where}, box {index}: expected pixels of the picture, got"
        f" {shown(edges)}, fractions of its width and height; multiply by these"
      )


def are_edges(value: Any) -> bool:
  """Returns whether a value is a list of four finite numbers."""
  is_list = isinstance(value, (list, tuple)) and len(value) == 4
  return is_list and all(map(json_file.is_finite, value))


def _check_fractions(listed: Sequence[Sequence[float]], where: str) -> None:
  for index, edges in enumerate(listed):
    if min(edges) < 0 or max(edges) > 1:
      raise ValueError(
        f"{where}, box {index}: expected fractions of the picture, from 0 to 1,"
        f" got {shown(edges)}"
      )
