"""Turns one naming of weights into another by a table, strict on both sides.

Every name of the source is matched by exactly one rule, every parameter that
the model wants is given, and all that is wrong is reported at once.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util


def same(array: np.ndarray) -> np.ndarray:
  """Returns the array as it is."""
  return array


def linear(array: np.ndarray) -> np.ndarray:
  """Turns PyTorch's linear weight [out, in] into a kernel [in, out]."""
  return array.T


def patches(array: np.ndarray) -> np.ndarray:
  """Turns a convolution [D, 3, patch, patch] into a kernel [3 patch^2, D].

  Within a patch the model reads row, column, channel.
  """
  return array.transpose(2, 3, 1, 0).reshape(-1, len(array))


class Rule(NamedTuple):
  """Moves a weight: a regex, the path it becomes, what happens to the array."""

  source: str
  target: str
  move: Callable[[np.ndarray], np.ndarray] = same


class Drop(NamedTuple):
  """Leaves a weight behind, for a reason."""

  source: str
  reason: str


def convert(
  source: Mapping[str, np.ndarray],
  rules: Sequence[Rule | Drop],
  expected: Mapping[str, tuple[int, ...]],
  where: str,
) -> dict[str, Any]:
  """Returns the weights as nested float32 parameters.

  Args:
    source: name -> array, as the checkpoint has it.
    rules: exactly one must match each whole name.
    expected: path -> shape of every parameter that the model wants.
    where: the checkpoint's name, for the error.

  Raises:
    ValueError: listing every name without exactly one rule, every wrong shape
      (wanted and found) and every parameter that the checkpoint does not give.
  """
  params, problems = {}, []
  for name, array in source.items():
    hits = [rule for rule in rules if re.fullmatch(rule.source, name)]
    if len(hits) != 1:
      problems.append(f"{name}: want one rule that matches, found {len(hits)}")
    elif isinstance(hits[0], Rule):
      path = re.sub(hits[0].source, hits[0].target, name)
      moved, problem = _move(hits[0], array, expected.get(path))
      if path in params:
        problem = "a second weight for this parameter"
      params[path] = moved
      if problem:
        problems.append(f"{name} -> {path}: {problem}")
  problems += [
    f"{path}: want {expected[path]}, found nothing in the checkpoint"
    for path in sorted(expected.keys() - params.keys())
  ]
  if problems:
    raise ValueError(f"cannot convert {where}:\n  " + "\n  ".join(problems))
  return traverse_util.unflatten_dict(params, sep="/")


def _move(
  rule: Rule, array: np.ndarray, want: tuple[int, ...] | None
) -> tuple[np.ndarray | None, str | None]:
  """Returns the parameter, and what is wrong with it, if anything."""
  try:
    moved = np.ascontiguousarray(rule.move(array), np.float32)
  except (ValueError, IndexError):
    return None, f"want {want}, found an array of shape {array.shape}"
  if want is None:
    return moved, "the model has no such parameter"
  if moved.shape != want:
    return moved, f"want {want}, found {moved.shape}"
  return moved, None
