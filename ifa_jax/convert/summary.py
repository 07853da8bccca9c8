"""Saves a conversion and reports it on the terminal."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ifa_jax.cli import tables
from ifa_jax.convert.store import Converted, save_converted

# Longer lists of names are abbreviated.
_MAX_NAMES = 4


def save_and_print(converted: Converted, folder: str) -> None:
  """Writes a folder; prints sizes, dropped weights and initialised ones."""
  save_converted(folder, *converted)
  info = converted.info
  print_counts(converted.params, f"Converted to {folder}")
  for part, reasons in info["dropped"].items():
    for reason, names in reasons.items():
      print(f"not converted ({part}): {_listed(names)} ({reason})")
  for names in listed_by_part(info["initialised"]):
    print(f"randomly initialised: {names}")
  for note in info["notes"]:
    print(f"note: {note}")


def print_counts(params: Mapping[str, Any], title: str) -> None:
  """Prints the number of parameters of each part."""
  counts = {
    part: sum(math.prod(np.shape(array)) for array in jax.tree.leaves(tree))
    for part, tree in sorted(params.items())
  }
  counts["total"] = sum(counts.values())
  rows = [(part, f"{count:,}") for part, count in counts.items()]
  tables.print_table(tables.make_table(title, ("part", "parameters"), rows))


def listed_by_part(paths: Sequence[str]) -> list[str]:
  """Returns the names of parameters such as "visual/embed/position" by part."""
  by_part = itertools.groupby(sorted(paths), lambda path: path.split("/")[0])
  return [_listed(list(group)) for _, group in by_part]


def _listed(names: Sequence[str]) -> str:
  if len(names) <= _MAX_NAMES:
    return ", ".join(names)
  return f"{names[0]} ... {names[-1]}, {len(names)} arrays"
