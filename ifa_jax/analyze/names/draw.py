"""New names for the rows of a split, drawn alike for all labels.

A name's replacement depends on its type and on chance only (exchange), or on
the form of the name (invented), never on the row's label. Within a post, a name
is replaced by one name in all of its rows. No new pair occurs in the dataset,
in either order, and no new name is one of the post's own.
"""

import collections
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ifa_jax.analyze.names import invent
from ifa_jax.analyze.names.types import Pair, Types, Words, spelling

WAYS = ("exchange", "invented")

# Draws for a post before it counts as impossible.
_MAX_TRIES = 1000


class Dataset(NamedTuple):
  """The names, pairs and words of all splits.

  Attributes:
    types: of the names.
    pairs: two spellings that some row has as head and tail, in any order.
    words: of the training texts, in lower case.
  """

  types: Types
  pairs: frozenset[frozenset[str]]
  words: frozenset[str]


class Drawn(NamedTuple):
  """New names of n rows.

  Attributes:
    names: of head and tail of each row.
    guessed: bool[n], whether the type of a name was drawn, since the name is
      in no row with a relation. Invented names have no types.
  """

  names: list[tuple[Words, Words]]
  guessed: np.ndarray


def pairs_of(rows: Iterable[Pair]) -> frozenset[frozenset[str]]:
  """Returns the pairs of names of rows, without order and case."""
  return frozenset(_key(head, tail) for head, tail, _ in rows)


def draw(
  rows: Sequence[Pair],
  posts: np.ndarray,
  dataset: Dataset,
  way: str,
  seed: int,
) -> Drawn:
  """Draws new names for the rows of a split.

  Args:
    rows: n of them.
    posts: int[n], see `bootstrap.number_posts`.
    dataset: of which the rows are a part.
    way: one of `WAYS`.
    seed: of the draw.

  Raises:
    ValueError: if the dataset has too few names for some post, none of a type,
      or no types.
  """
  rng = np.random.default_rng(seed)
  names: list[tuple[Words, Words]] = [((), ())] * len(rows)
  guessed = np.zeros(len(rows), bool)
  by_post = collections.defaultdict(list)
  for row, post in enumerate(posts):
    by_post[post].append(row)
  for members in by_post.values():
    some = [rows[row] for row in members]
    if way == "invented":
      spelled = (spelling(name) for pair in some for name in pair[:2])
      kinds, unsure = dict.fromkeys(spelled, "any"), set()
    else:
      kinds, unsure = _kinds(some, dataset.types, rng)
    new = _draw_post(some, kinds, dataset, way, rng)
    for row, (head, tail, _) in zip(members, some, strict=True):
      own = spelling(head), spelling(tail)
      names[row] = new[own[0]], new[own[1]]
      guessed[row] = bool(unsure & {*own})
  return Drawn(names, guessed)


def _kinds(
  rows: Sequence[Pair], types: Types, rng: np.random.Generator
) -> tuple[dict[str, str], set[str]]:
  """Returns the type of each name of a post, and the names of drawn types."""
  here, kinds, unsure = types.count(rows), {}, set()
  names = ((i, name) for pair in rows for i, name in enumerate(pair[:2]))
  for role, name in names:
    own = spelling(name)
    if own in kinds:
      continue
    counted = here.get(own)
    found = types.most_frequent(name)
    if counted:
      found = max(sorted(counted), key=counted.__getitem__)
    if found is None:
      unsure.add(own)
    kinds[own] = types.draw(role, rng) if found is None else found
  return kinds, unsure


def _draw_post(
  rows: Sequence[Pair],
  kinds: dict[str, str],
  dataset: Dataset,
  way: str,
  rng: np.random.Generator,
) -> dict[str, Words]:
  """Returns spelling -> new name for all names of a post."""
  words = {spelling(name): name for pair in rows for name in pair[:2]}
  for _ in range(_MAX_TRIES):
    new = {}
    for own, kind in kinds.items():
      if way == "invented":
        new[own] = invent.name(words[own], dataset.words, rng)
      else:
        new[own] = _draw_name(dataset.types, kind, rng)
    spelled = {own: spelling(name) for own, name in new.items()}
    given = {*spelled.values()}
    distinct = len(given) == len(new) and not given & {*kinds}
    if distinct and not any(
      _key(new[spelling(head)], new[spelling(tail)]) in dataset.pairs
      for head, tail, _ in rows
    ):
      return new
  raise ValueError(
    f"--names={way}: expected enough names of the types"
    f" {', '.join(sorted({*kinds.values()}))} for a pair that the dataset does"
    f" not have, got none in {_MAX_TRIES} draws"
  )


def _draw_name(types: Types, kind: str, rng: np.random.Generator) -> Words:
  pool = types.names[kind]
  if not pool:
    raise ValueError(
      "--names=exchange: expected names that are most often of the type"
      f" {kind}, got none"
    )
  return pool[rng.integers(len(pool))]


def _key(head: Words, tail: Words) -> frozenset[str]:
  return frozenset((spelling(head), spelling(tail)))
