"""Resizes position tables, as `interpolate_pos_encoding` of transformers."""

import math

import numpy as np

# Of the cubic kernel, in PyTorch; usually -0.5.
_SHARPNESS = -0.75


def resize_positions(table: np.ndarray, side: int) -> np.ndarray:
  """Returns a position table for a grid of another size.

  Row 0, the class token's, is kept. The others are a grid of patches, row by
  row, that is resized by cubic interpolation without smoothing.

  Args:
    table: float32[1 + n^2, D].
    side: patches along a side of the new grid.

  Returns:
    float32[1 + side^2, D]; `table` itself if it has that size.

  Raises:
    ValueError: for a table that is no class token and a square.
  """
  old = math.isqrt(len(table) - 1)
  if old**2 != len(table) - 1:
    raise ValueError(f"position table: expected 1 + n^2 rows, got {len(table)}")
  if side == old:
    return table
  mix = _mixture(old, side)
  grid = table[1:].reshape(old, old, -1)
  resized = np.einsum("ai,bj,ijd->abd", mix, mix, grid, optimize=True)
  resized = resized.reshape(side**2, -1).astype(np.float32)
  return np.concatenate([table[:1], resized])


def _mixture(old: int, new: int) -> np.ndarray:
  """Returns the shares of old positions in new ones, float64[new, old]."""
  centres = (np.arange(new) + 0.5) * old / new - 0.5
  left = np.floor(centres).astype(int)
  mix = np.zeros((new, old))
  for near in (left - 1, left, left + 1, left + 2):
    # Beyond the border its last position is repeated.
    inside = np.clip(near, 0, old - 1)
    np.add.at(mix, (np.arange(new), inside), _cubic(np.abs(centres - near)))
  return mix


def _cubic(x: np.ndarray) -> np.ndarray:
  """Returns the kernel of Keys 1981 at distances from 0 to 2."""
  a = _SHARPNESS
  near = (a + 2) * x**3 - (a + 3) * x**2 + 1
  return np.where(x <= 1, near, a * (x**3 - 5 * x**2 + 8 * x - 4))
