"""Where crops, their patches and objects lie on the square of a picture.

A prepared record keeps the square of the whole picture and boxes in pixels of
the original. Edges on the square are fractions of its side, (x0, y0, x1, y1).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Edges = tuple[float, float, float, float]


class Place(NamedTuple):
  """A crop or an object on the square of its picture.

  Attributes:
    box: the crop, clipped to the square; None if it lies outside.
    grid: what its patches cover, which may reach beyond the square: `fit` keeps
      the centre of a crop that is no square. All of an object.
  """

  box: Edges | None
  grid: Edges


def kept(width: int, height: int, size: int) -> Edges:
  """Returns the part of a picture that `decode.fit` keeps, in its pixels.

  Args:
    width: of the picture.
    height: of the picture.
    size: side of the square that it becomes, in pixels.
  """
  short = min(width, height)
  starts, ends = [], []
  for length in (width, height):
    resized = size if length == short else int(size * length / short)
    first = (resized - size) // 2
    starts.append(first * length / resized)
    ends.append((first + size) * length / resized)
  return (*starts, *ends)


def place(
  box: Sequence[float],
  picture_size: tuple[int, int],
  image_size: int,
  crop_size: int | None,
) -> Place:
  """Returns where a crop or an object lies on the square.

  Args:
    box: [x0, y0, x1, y1] in pixels of the original.
    picture_size: (width, height) of the original.
    image_size: side of the picture's square in pixels.
    crop_size: side of the crop's square in pixels, None for an object.
  """
  square = kept(*picture_size, image_size)
  if crop_size is None:
    whole = _on_square(box, square)
    return Place(_clip(whole), whole)
  x0, y0, x1, y1 = _touched(box, picture_size)
  in_crop = kept(x1 - x0, y1 - y0, crop_size)
  grid = [edge + (x0, y0)[i % 2] for i, edge in enumerate(in_crop)]
  return Place(
    _clip(_on_square((x0, y0, x1, y1), square)), _on_square(grid, square)
  )


class Heat(NamedTuple):
  """Rectangles that cover all patches, none over another.

  Attributes:
    xs: float64[X+1], where columns end, rising.
    ys: float64[Y+1], where rows end, rising.
    values: float64[Y, X], 0 where no patch is.
  """

  xs: np.ndarray
  ys: np.ndarray
  values: np.ndarray


def lay_over(grids: Sequence[tuple[Edges, np.ndarray]]) -> Heat:
  """Returns the largest weight at each place, where patches may overlap.

  Many small weights on one place are no large one.

  Args:
    grids: what patches cover, and float[side, side] of them.
  """
  ends = [_ends(edges, len(weights)) for edges, weights in grids]
  xs, ys = (np.unique(np.concatenate(axis)) for axis in zip(*ends, strict=True))
  values = np.zeros((len(ys) - 1, len(xs) - 1))
  for (x_ends, y_ends), (_, weights) in zip(ends, grids, strict=True):
    columns, in_x = _patch_of(xs, x_ends)
    rows, in_y = _patch_of(ys, y_ends)
    part = np.ix_(in_y, in_x)
    found = weights[np.ix_(rows[in_y], columns[in_x])]
    values[part] = np.maximum(values[part], found)
  return Heat(xs, ys, values)


def _ends(edges: Edges, side: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns where the columns and the rows of a grid of patches end."""
  x0, y0, x1, y1 = edges
  return np.linspace(x0, x1, side + 1), np.linspace(y0, y1, side + 1)


def _patch_of(
  cuts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the patch that lies between each two cuts, and if there is one."""
  middles = (cuts[:-1] + cuts[1:]) / 2
  patches = np.searchsorted(ends, middles) - 1
  return patches, (patches >= 0) & (patches < len(ends) - 1)


def _touched(
  box: Sequence[float], picture_size: tuple[int, int]
) -> tuple[int, int, int, int]:
  """Returns the whole pixels that `decode.cut` takes for a box."""
  (x0, y0, x1, y1), (width, height) = box, picture_size
  return (
    max(0, math.floor(x0)),
    max(0, math.floor(y0)),
    min(width, math.ceil(x1)),
    min(height, math.ceil(y1)),
  )


def _on_square(edges: Sequence[float], square: Edges) -> Edges:
  """Turns pixels into fractions of the square."""
  (x0, y0, x1, y1), (left, top, right, bottom) = edges, square
  width, height = right - left, bottom - top
  return (
    (x0 - left) / width,
    (y0 - top) / height,
    (x1 - left) / width,
    (y1 - top) / height,
  )


def _clip(edges: Edges) -> Edges | None:
  """Returns what lies inside the square, if anything."""
  x0, y0, x1, y1 = (min(1.0, max(0.0, edge)) for edge in edges)
  return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
