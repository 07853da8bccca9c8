"""Relations guessed from two counts of a post, without its text and picture.

In MORE all pairs of an entity and an object of a post are rows, so that their
numbers reveal much about `none`: it has 5 % of the rows with one of each, and
81 % of those with several of both (github.com/NJUNLP/MORE at 787d2c5,
README.md:31-33).
"""

import collections
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ifa_jax.statistics import metrics
from ifa_jax.statistics.predictions import NONE

Span = tuple[int, int]


class Row(NamedTuple):
  """A row whose entities may be objects of its picture."""

  post: str  # Its picture's file name.
  entities: frozenset[Span]  # Word spans of those in the text.
  objects: int  # Of the picture.
  relation: str


class Post(NamedTuple):
  """Counts of a post in a split."""

  entities: int  # Different ones of its text, in all rows.
  objects: int
  pairs: int  # Its rows.


def in_text(
  words: Sequence[str], spans: Sequence[Span], object_word: str
) -> frozenset[Span]:
  """Returns the spans of the entities that are no objects."""
  return frozenset(x for x in spans if [*words[slice(*x)]] != [object_word])


def posts(rows: Sequence[Row]) -> list[Post]:
  """Returns the counts of the post of each row of a split."""
  entities: dict[str, set[Span]] = collections.defaultdict(set)
  for row in rows:
    entities[row.post] |= row.entities
  pairs = collections.Counter(row.post for row in rows)
  return [
    Post(len(entities[row.post]), row.objects, pairs[row.post]) for row in rows
  ]


def score(
  splits: Mapping[str, Sequence[Row]],
) -> dict[str, dict[str, dict[str, float]]]:
  """Scores the guesses that train's rows give for the rows of other splits.

  Returns:
    Split -> `counts only`, the most frequent relation of train's rows with as
    many entities and objects, or else of all its rows, and `majority class`,
    always the latter -> accuracy, and micro precision, recall and F1.
  """
  by_counts = collections.defaultdict(collections.Counter)
  for row, key in zip(splits["train"], _keys(splits["train"]), strict=True):
    by_counts[key][row.relation] += 1
  most = lambda counted: counted.most_common(1)[0][0]  # noqa: E731
  majority = most(collections.Counter(row.relation for row in splits["train"]))
  rule = {key: most(counted) for key, counted in by_counts.items()}
  found = {}
  for split, rows in splits.items():
    if split != "train":
      gold = [row.relation for row in rows]
      guessed = [rule.get(key, majority) for key in _keys(rows)]
      found[split] = {
        "counts only": _score(gold, guessed),
        "majority class": _score(gold, [majority] * len(rows)),
      }
  return found


def _keys(rows: Sequence[Row]) -> list[tuple[int, int]]:
  return [(post.entities, post.objects) for post in posts(rows)]


def _score(gold: Sequence[str], guessed: Sequence[str]) -> dict[str, float]:
  right = [g for g, p in zip(gold, guessed, strict=True) if g == p]
  counts = (len(x) - x.count(NONE) for x in (right, [*guessed], [*gold]))
  accuracy = metrics.ratio(len(right), len(gold))
  return {"accuracy": accuracy, **metrics.f1_score(*counts)}
