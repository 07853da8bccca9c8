"""Turns one naming of weights into another by a table, strict on both sides.

Every name of the source is matched by exactly one rule, every parameter that
the model wants is given, and all that is wrong is reported at once. The same
table leads back.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import traverse_util

from ifa_jax.convert import rules as tables
from ifa_jax.convert.rules import Drop, Rule

Table = Sequence[Rule | Drop]


def convert(
  source: Mapping[str, np.ndarray],
  rules: Table,
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
    hits = _hits(rules, name)
    if len(hits) != 1:
      problems.append(f"{name}: want one rule that matches, found {len(hits)}")
    elif isinstance(hits[0], Rule):
      path = tables.fill(hits[0].path, tables.match(hits[0].name, name))
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
  _raise_all(f"cannot convert {where}", problems)
  return traverse_util.unflatten_dict(params, sep="/")


def restore(
  params: Mapping[str, Any], rules: Table, what: str
) -> dict[str, np.ndarray]:
  """Returns nested parameters under the names that a table reads them from.

  Where several names become one path, the table's first is taken.

  Args:
    params: nested dicts of arrays.
    rules: must have a name for every path.
    what: the target's name, for the error.

  Raises:
    ValueError: listing every parameter that has no name there.
  """
  weights, problems = {}, []
  for path, array in traverse_util.flatten_dict(params, sep="/").items():
    rule = next((r for r in _moves(rules) if tables.match(r.path, path)), None)
    if rule is None:
      problems.append(f"{path}: there is no place for it")
      continue
    name = tables.fill(rule.name, tables.match(rule.path, path))
    weights[name] = np.ascontiguousarray(rule.move.out(np.asarray(array)))
  _raise_all(f"cannot express as {what}", problems)
  return weights


def dropped(source: Mapping[str, Any], rules: Table) -> dict[str, list[str]]:
  """Returns reason -> names of what a table leaves behind."""
  reasons: dict[str, list[str]] = {}
  for name in source:
    for rule in _hits(rules, name):
      if isinstance(rule, Drop):
        reasons.setdefault(rule.reason, []).append(name)
  return reasons


def beyond(
  source: Mapping[str, Any], rules: Table, num_layers: int
) -> list[str]:
  """Returns the names that belong to layer `num_layers` and later ones."""
  names = []
  for name in source:
    found = [tables.match(rule.name, name) for rule in _hits(rules, name)]
    numbers = [tables.layer_number(match) for match in found]
    if any(n is not None and n >= num_layers for n in numbers):
      names.append(name)
  return names


def _hits(rules: Table, name: str) -> list[Rule | Drop]:
  return [rule for rule in rules if tables.match(rule.name, name)]


def _moves(rules: Table) -> list[Rule]:
  return [rule for rule in rules if isinstance(rule, Rule)]


def _move(
  rule: Rule, array: np.ndarray, want: tuple[int, ...] | None
) -> tuple[np.ndarray | None, str | None]:
  """Returns the parameter, and what is wrong with it, if anything."""
  if array.dtype.kind in "biu":
    return None, f"want floating point numbers, found {array.dtype}"
  try:
    moved = np.ascontiguousarray(rule.move.into(array), np.float32)
  except (ValueError, IndexError):
    return None, f"want {want}, found an array of shape {array.shape}"
  if want is None:
    return moved, "the model has no such parameter"
  if moved.shape != want:
    return moved, f"want {want}, found {moved.shape}"
  return moved, None


def _raise_all(what: str, problems: Sequence[str]) -> None:
  if problems:
    raise ValueError(f"{what}:\n  " + "\n  ".join(problems))
