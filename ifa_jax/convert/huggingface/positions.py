"""Position tables of pictures, for another size than they were trained at."""

import math

import jax
import numpy as np


def resize_positions(table: np.ndarray, side: int) -> np.ndarray:
  """Returns a position table for a grid of another size.

  Row 0, the class token's, stays. The others are a grid of patches, row by
  row, that is resized by cubic interpolation, smoothed where it shrinks.

  Args:
    table: float32[1 + n^2, D].
    side: patches along a side of the wanted grid.

  Returns:
    float32[1 + side^2, D]; the very table if that is its size.

  Raises:
    ValueError: for a table that is no class token and a square.
  """
  old = math.isqrt(len(table) - 1)
  if old**2 != len(table) - 1:
    raise ValueError(f"position table: want 1 + n^2 rows, found {len(table)}")
  if side == old:
    return table
  grid = table[1:].reshape(old, old, -1)
  resized = jax.image.resize(grid, (side, side, grid.shape[-1]), "cubic")
  return np.concatenate([table[:1], resized.reshape(side**2, -1)])
