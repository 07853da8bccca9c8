"""Renames weights by a table of rules, strictly in both directions.

Every name of the source must match exactly one rule, and every parameter of
the model must be given; all problems are reported at once. The same table
converts back.

In a name of either side, `{n}` is the number of a layer; in a `Drop`, `{any}`
is any text.

    Rule("encoder.layer.{n}.output.dense.bias", "text/layer_{n}/mlp_out/bias")
    encoder.layer.7.output.dense.bias  <->  text/layer_7/mlp_out/bias
"""

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

# Longer lists of names are abbreviated.
_MAX_NAMES = 4


class Move(NamedTuple):
  """Changes to an array on conversion, and on the way back."""

  into: Callable[[np.ndarray], np.ndarray]
  out: Callable[[np.ndarray], np.ndarray]


def _flatten_patches(array: np.ndarray) -> np.ndarray:
  return array.transpose(2, 3, 1, 0).reshape(-1, len(array))


def _unflatten_patches(kernel: np.ndarray) -> np.ndarray:
  patch = math.isqrt(len(kernel) // 3)
  return kernel.reshape(patch, patch, 3, -1).transpose(3, 2, 0, 1)


SAME = Move(np.asarray, np.asarray)
# PyTorch's linear weight [out, in], a kernel [in, out].
TRANSPOSE = Move(np.transpose, np.transpose)
# A convolution [D, 3, patch, patch], a kernel [3 patch^2, D]: within a patch
# the model reads row, column, channel.
PATCHES = Move(_flatten_patches, _unflatten_patches)


def leading_axes(count: int) -> Move:
  """Removes axes of length 1 that stand for a batch."""
  axes = tuple(range(count))
  return Move(lambda x: x.squeeze(axes), lambda x: np.expand_dims(x, axes))


class Rule(NamedTuple):
  """Moves a weight to the path of a parameter."""

  name: str
  path: str
  move: Move = SAME


class Drop(NamedTuple):
  """Leaves a weight out, with the reason."""

  name: str
  reason: str


Table = Sequence[Rule | Drop]


def linear(name: str, path: str) -> list[Rule]:
  """Returns the rules of a linear layer."""
  return [
    Rule(f"{name}.weight", f"{path}/kernel", TRANSPOSE),
    Rule(f"{name}.bias", f"{path}/bias"),
  ]


def norm(name: str, path: str) -> list[Rule]:
  """Returns the rules of a LayerNorm."""
  return [
    Rule(f"{name}.weight", f"{path}/scale"),
    Rule(f"{name}.bias", f"{path}/bias"),
  ]


def layer(name: str, path: str, parts: Mapping[str, str]) -> list[Rule]:
  """Returns the rules of a transformer layer.

  Args:
    name: of the layer.
    path: of the layer.
    parts: path -> name within the layer, of linear layers, and of LayerNorms
      where the path ends in "norm".
  """
  return [
    rule
    for ours, theirs in parts.items()
    for rule in (norm if ours.endswith("norm") else linear)(
      f"{name}.{theirs}", f"{path}/{ours}"
    )
  ]


def blank(names: Sequence[str], width: int) -> dict[str, np.ndarray]:
  """Returns the weights of modules that an export needs and no model reads.

  LayerNorms are identities, linear layers [D, D] are 0.
  """
  ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
  weights = {}
  for name in names:
    square = np.zeros((width, width), np.float32)
    weights[f"{name}.weight"] = ones if "norm" in name else square
    weights[f"{name}.bias"] = zeros
  return weights


@functools.cache
def _regex(pattern: str) -> re.Pattern[str]:
  escaped = re.escape(pattern).replace(re.escape("{n}"), r"(?P<n>\d+)")
  return re.compile(escaped.replace(re.escape("{any}"), ".*"))


def match(pattern: str, name: str) -> dict[str, str] | None:
  """Returns the placeholders of a pattern in a whole name, or None."""
  found = _regex(pattern).fullmatch(name)
  return None if found is None else found.groupdict()


def _rename(pattern: str, target: str, name: str) -> str:
  """Returns `target` with the layer's number in a name that matches."""
  return target.replace("{n}", (match(pattern, name) or {}).get("n", ""))


def matching(rules: Table, name: str) -> list[Rule | Drop]:
  """Returns the rules that match a whole name."""
  return [rule for rule in rules if match(rule.name, name) is not None]


def convert(
  source: Mapping[str, np.ndarray],
  rules: Table,
  expected: Mapping[str, tuple[int, ...]],
  where: str,
) -> dict[str, np.ndarray]:
  """Returns path -> float32 parameter of a checkpoint's weights.

  Args:
    source: name -> array.
    rules: exactly one must match each name.
    expected: path -> shape of every parameter of the model.
    where: the checkpoint, for the error.

  Raises:
    ValueError: listing every name without exactly one rule, every wrong shape,
      and every parameter that is missing, or their number if it is not above
      that of the names without a rule.
  """
  params, problems, unknown = {}, [], 0
  for name, array in source.items():
    found = matching(rules, name)
    if len(found) != 1:
      unknown += 1
      problems.append(
        f"{name}: expected one rule that matches, got {len(found)}"
      )
    elif isinstance(found[0], Rule):
      path = _rename(found[0].name, found[0].path, name)
      moved, problem = _move(found[0], array, expected.get(path))
      if path in params:
        problem = "a second weight for this parameter"
      params[path] = moved
      if problem:
        problems.append(f"{name} -> {path}: {problem}")
  missing = sorted(expected.keys() - params.keys())
  if _MAX_NAMES < len(missing) <= unknown:
    # Most likely the same weights, which are listed above by their names.
    problems.append(f"{listed(missing)}: got nothing in the checkpoint")
  else:
    problems += [
      f"{path}: expected {expected[path]}, got nothing in the checkpoint"
      for path in missing
    ]
  raise_all(f"cannot convert {where}", problems)
  return params


def listed(names: Sequence[str]) -> str:
  """Returns names with commas, or only the first, the last and the number."""
  if len(names) <= _MAX_NAMES:
    return ", ".join(names)
  return f"{names[0]} ... {names[-1]}, {len(names)} arrays"


def restore(
  params: Mapping[str, Any], rules: Table, target: str
) -> dict[str, np.ndarray]:
  """Returns parameters under the names of their source.

  If several names have one path, the table's first is used.

  Args:
    params: path -> array.
    rules: must have a name for every path.
    target: its name, for the error.

  Raises:
    ValueError: listing every parameter that has no name there.
  """
  moves = [rule for rule in rules if isinstance(rule, Rule)]
  weights, problems = {}, []
  for path, array in params.items():
    rule = next((r for r in moves if match(r.path, path) is not None), None)
    if rule is None:
      problems.append(f"{path}: there is no place for it")
      continue
    name = _rename(rule.path, rule.name, path)
    weights[name] = np.ascontiguousarray(rule.move.out(np.asarray(array)))
  raise_all(f"cannot express as {target}", problems)
  return weights


def dropped(source: Mapping[str, Any], rules: Table) -> dict[str, list[str]]:
  """Returns reason -> names of the weights that a table leaves out."""
  reasons: dict[str, list[str]] = {}
  for name in source:
    for rule in matching(rules, name):
      if isinstance(rule, Drop):
        reasons.setdefault(rule.reason, []).append(name)
  return reasons


def layer_number(rules: Table, name: str) -> int:
  """Returns the number of the layer that a name belongs to, or -1."""
  found = (match(rule.name, name) or {} for rule in rules)
  return max(int(placeholders.get("n", -1)) for placeholders in found)


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


def _move(
  rule: Rule, array: np.ndarray, shape: tuple[int, ...] | None
) -> tuple[np.ndarray, str | None]:
  """Returns the parameter, and the problem with it or None."""
  if problem := problem_with(array):
    return array, problem
  try:
    moved = np.ascontiguousarray(rule.move.into(array), np.float32)
  except (ValueError, IndexError):
    return array, f"expected {shape}, got an array of shape {array.shape}"
  if shape is None:
    return moved, "the model has no such parameter"
  if moved.shape != shape:
    return moved, f"expected {shape}, got {moved.shape}"
  return moved, None


def raise_all(what: str, problems: Sequence[str]) -> None:
  """Raises ValueError with a line for each problem, if there are any."""
  if problems:
    raise ValueError(f"{what}:\n  " + "\n  ".join(problems))
