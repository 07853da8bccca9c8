"""What a conversion did, for the terminal."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ifa_jax.cli import tables
from ifa_jax.convert.store import Converted

# More names than this are counted.
_MAX_NAMES = 4


def print_converted(converted: Converted, folder: str) -> None:
  """Prints sizes, what was left behind and why, and what starts fresh."""
  info = converted.info
  print_counts(converted.params, f"Converted to {folder}")
  for side, reasons in info["dropped"].items():
    for reason, names in reasons.items():
      print(f"left behind in {side}: {_listed(names)} ({reason})")
  for fresh in listed_by_part(info["initialised"]):
    print(f"keeps its initialisation: {fresh}")
  for note in info["notes"]:
    print(f"note: {note}")


def print_counts(params: Mapping[str, Any], title: str) -> None:
  """Prints the number of parameters of each part."""
  counts = {part: _count(tree) for part, tree in sorted(params.items())}
  counts["together"] = sum(counts.values())
  rows = [(part, f"{count:,}") for part, count in counts.items()]
  tables.print_table(tables.make_table(title, ("part", "parameters"), rows))


def _count(tree: Any) -> int:
  return sum(math.prod(np.shape(array)) for array in jax.tree.leaves(tree))


def _root(path: str) -> str:
  return path.split("/")[0]


def listed_by_part(paths: Sequence[str]) -> list[str]:
  """Returns what parameters to name of each part of a model, long lists short.

  Args:
    paths: of parameters, e.g. "visual/embed/position".
  """
  by_part = itertools.groupby(sorted(paths), key=_root)
  return [_listed(list(group)) for _, group in by_part]


def _listed(names: Sequence[str]) -> str:
  if len(names) <= _MAX_NAMES:
    return ", ".join(names)
  return f"{names[0]} ... {names[-1]}, {len(names)} arrays"
