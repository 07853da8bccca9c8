"""Positions of crops, their patches and objects on the square of a picture.

A prepared record has the square of the whole picture, and boxes in pixels of
the original. Edges on the square are fractions of its side, (x0, y0, x1, y1).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Edges = tuple[float, float, float, float]


class Place(NamedTuple):
  """The position of a crop or an object on the square of its picture.

  Attributes:
    box: the crop, clipped to the square; None if it is outside.
    grid: the area of its patches, not clipped: of a crop that is not square,
      `decode.fit` keeps the centre. The whole box of an object.
  """

  box: Edges | None
  grid: Edges


def place(
  box: Sequence[float],
  picture_size: tuple[int, int],
  image_size: int,
  crop_size: int | None,
  resize: str = "fit",
) -> Place:
  """Returns the position of a crop or an object on the square.

  Args:
    box: [x0, y0, x1, y1] in pixels of the original.
    picture_size: (width, height) of the original.
    image_size: side of the picture's square in pixels.
    crop_size: side of the crop's square in pixels, None for an object.
    resize: form of both squares, see `decode.fit`.
  """
  area = grid = np.array(box, np.float64)
  if crop_size is not None:
    # The whole pixels that `decode.cut` takes.
    start = np.maximum(0, np.floor(area[:2]))
    end = np.minimum(picture_size, np.ceil(area[2:]))
    area = np.concatenate([start, end])
    grid = np.tile(start, 2) + kept(end - start, crop_size, resize)
  square = kept(np.array(picture_size), image_size, resize)
  corner, size = np.tile(square[:2], 2), np.tile(square[2:] - square[:2], 2)
  x0, y0, x1, y1 = np.clip((area - corner) / size, 0, 1).tolist()
  inside = x0 < x1 and y0 < y1
  return Place(
    (x0, y0, x1, y1) if inside else None,
    tuple(((grid - corner) / size).tolist()),
  )


def kept(lengths: np.ndarray, size: int, resize: str) -> np.ndarray:
  """Returns the part of a picture that `decode.fit` keeps, as float64[4] edges.

  Args:
    lengths: width and height of the picture, in the pixels of the result.
    size: side of the square that `decode.fit` returns.
    resize: form of the square.
  """
  if resize == "squash":
    return np.concatenate([np.zeros(2), lengths])
  short = lengths.min()
  scaled = (size * lengths / short).astype(int)
  resized = np.where(lengths == short, size, scaled)
  start = (resized - size) // 2
  edges = np.concatenate([start, start + size])
  return edges * np.tile(lengths, 2) / np.tile(resized, 2)


def heat(grids: Sequence[tuple[Edges, np.ndarray]], size: int) -> np.ndarray:
  """Returns float64[size, size], the largest weight at each pixel of a square.

  Patches may overlap; many small weights do not add up to a large one. 0 where
  there is no patch.

  Args:
    grids: the area of the patches of a crop, and their float[side, side].
  """
  pixels = np.zeros((size, size))
  centres = (np.arange(size) + 0.5) / size
  for (x0, y0, x1, y1), weights in grids:
    side = len(weights)
    columns = np.floor((centres - x0) / (x1 - x0) * side).astype(int)
    rows = np.floor((centres - y0) / (y1 - y0) * side).astype(int)
    in_x, in_y = ((i >= 0) & (i < side) for i in (columns, rows))
    area = np.ix_(in_y, in_x)
    patches = weights[np.ix_(rows[in_y], columns[in_x])]
    pixels[area] = np.maximum(pixels[area], patches)
  return pixels
