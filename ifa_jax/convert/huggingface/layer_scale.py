"""Folds LayerScale into the linear layers that it follows.

DINOv2 multiplies each value that a layer adds to a state by a learnt factor
(Touvron et al. 2021, arXiv:2103.17239). Multiplying the rows of the weight and
the bias that give this value has the same effect.
"""

import re
from collections.abc import Mapping

import numpy as np

# The linear layers, in all versions of transformers.
_BEFORE = re.compile(
  r"(encoder\.layer\.\d+\.)(?:(attention\.output\.dense|attention\.o_proj)"
  r"|mlp\.fc2)\.(?:weight|bias)"
)


def fold(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns a `Dinov2Model`'s weights without LayerScale.

  Args:
    weights: name -> array, of the names in transformers.

  Raises:
    ValueError: for factors that are missing or of another number, naming them.
  """
  scales = {
    name: f"{found[1]}layer_scale{1 if found[2] else 2}.lambda1"
    for name in weights
    if (found := _BEFORE.fullmatch(name))
  }
  kept = {name: x for name, x in weights.items() if name not in scales.values()}
  return kept | {
    name: _multiply(weights[name], weights.get(scale), scale)
    for name, scale in scales.items()
  }


def _multiply(
  array: np.ndarray, scale: np.ndarray | None, name: str
) -> np.ndarray:
  """Returns float32[out, in] or [out], times a scale [out] of this name."""
  if array.dtype.kind in "biu":
    return array  # `engine.convert` refuses it.
  if (
    scale is None or scale.shape != array.shape[:1] or scale.dtype.kind in "biu"
  ):
    got = "nothing" if scale is None else f"{scale.dtype}{scale.shape}"
    raise ValueError(f"{name}: expected float{array.shape[:1]}, got {got}")
  factors = scale.astype(np.float32)
  return (array.astype(np.float32).T * factors).T
