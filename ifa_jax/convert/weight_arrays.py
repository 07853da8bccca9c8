"""Whether an array of a checkpoint can be weights."""

import numpy as np


def problem_with(array: np.ndarray) -> str | None:
  """Returns why an array cannot be weights, or None."""
  if array.dtype.kind in "biuc":
    return f"expected floating point numbers, got {array.dtype}"
  # A large float64 becomes infinite.
  with np.errstate(over="ignore"):
    values = array.astype(np.float32, copy=False)
  if not np.isfinite(values).all():
    return (
      f"expected finite float32 values, got {array[~np.isfinite(values)][0]}"
    )
  return None
