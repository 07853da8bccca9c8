"""Types of names: those of the relations that they are arguments of.

The relation /per/org/member_of has a head of type per and a tail of type org;
for relations with other names, a file has the types. A row without a relation
has none, so its names get the type that the same name has most often in rows
with a relation, or else one drawn by the frequency of the types of heads, or of
tails.
"""

import collections
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ifa_jax.data import relation_names
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

Words = tuple[str, ...]


class Pair(NamedTuple):
  """The names of a row, in words, and its relation."""

  head: Words
  tail: Words
  relation: str


def spelling(name: Words) -> str:
  """Returns a name without case, by which names are compared."""
  return " ".join(name).casefold()


def of_relations(
  relations: Sequence[str], path: str | None = None
) -> dict[str, tuple[str, str]]:
  """Returns the types of head and tail of each relation but None.

  Args:
    relations: names.
    path: of a JSON file {relation: [head type, tail type]}; None: the names
      have their types, as in /per/org/member_of.

  Raises:
    ValueError: for a relation without types, or a file of another form.
  """
  given = _of_names(relations) if path is None else json_file.load(path)
  where = path or "--types"
  wanted = [name for name in relations if not relation_names.is_none(name)]
  found = {}
  for name in wanted:
    pair = given.get(name) if isinstance(given, dict) else None
    if not (
      isinstance(pair, list)
      and len(pair) == 2
      and all(isinstance(kind, str) and kind for kind in pair)
    ):
      raise ValueError(
        f"{where}: expected {{relation: [head type, tail type]}} with"
        f" {name!r}, whose name has no types, got {shown(pair)}"
      )
    found[name] = (pair[0], pair[1])
  return found


def _of_names(relations: Sequence[str]) -> dict[str, list[str]]:
  parts = {name: name.strip("/").split("/") for name in relations}
  return {name: x[:2] for name, x in parts.items() if len(x) == 3}


class Types:
  """The types of all names of a dataset.

  Attributes:
    names: type -> the names that have it most often, sorted.
  """

  def __init__(
    self, pairs: Iterable[Pair], of_relation: dict[str, tuple[str, str]]
  ):
    """Counts the types of the names of all splits."""
    self._of_relation = of_relation
    self._counts = self.count(pairs := [*pairs])
    related = [
      of_relation[x.relation] for x in pairs if x.relation in of_relation
    ]
    # Those of heads, and those of tails; drawing one of them is drawing by
    # frequency.
    self._drawn_from = [*zip(*related, strict=True)]
    self.names: dict[str, list[Words]] = {
      kind: [] for kind in sorted({kind for kinds in related for kind in kinds})
    }
    for name in sorted({name for pair in pairs for name in pair[:2]}):
      kind = self.most_frequent(name)
      if kind is not None:
        self.names[kind].append(name)

  def count(
    self, pairs: Iterable[Pair]
  ) -> dict[str, "collections.Counter[str]"]:
    """Counts the types of each spelling in rows with a relation."""
    counts = collections.defaultdict(collections.Counter)
    for head, tail, relation in pairs:
      kinds = self._of_relation.get(relation, ())
      for name, kind in zip((head, tail), kinds, strict=False):
        counts[spelling(name)][kind] += 1
    return counts

  def most_frequent(self, name: Words) -> str | None:
    """Returns the most frequent type of a name, or None if it has none."""
    counted = self._counts.get(spelling(name))
    return max(sorted(counted), key=counted.__getitem__) if counted else None

  def draw(self, role: int, rng: np.random.Generator) -> str:
    """Returns a type, drawn by the frequencies in rows with a relation.

    `role` is 0 for a type among those of heads, 1 for tails.

    Raises:
      ValueError: if no row has a relation.
    """
    if not self._drawn_from:
      raise ValueError(
        "--names=exchange: expected rows with a relation, whose names have"
        " types, got none; --names=invented needs no types"
      )
    drawn_from = self._drawn_from[role]
    return drawn_from[rng.integers(len(drawn_from))]
