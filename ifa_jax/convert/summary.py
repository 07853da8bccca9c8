"""Saves a conversion and reports it on the terminal."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ifa_jax.cli import tables
from ifa_jax.convert.engine import listed
from ifa_jax.convert.store import Converted, save_converted


def save_and_print(converted: Converted, folder: str) -> None:
  """Writes a folder; prints sizes, dropped weights and initialised ones."""
  save_converted(folder, *converted)
  info = converted.info
  print_counts(converted.params, f"Converted to {folder}")
  for part, reasons in info["dropped"].items():
    for reason, names in reasons.items():
      print(f"not converted ({part}): {listed(names)} ({reason})")
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
  return [listed(list(group)) for _, group in by_part]
