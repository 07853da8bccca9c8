"""Scores of systems and differences between them, on the same drawn rows.

Every score is the mean over a system's seeds. All systems are scored on the
same drawn posts, so that the interval of a difference is that of a paired
bootstrap; see `bootstrap`.
"""

import collections
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ifa_jax.statistics import bootstrap, metrics
from ifa_jax.statistics.predictions import NONE
from ifa_jax.statistics.systems import System

# Measures of a system: the scores over all rows, accuracy on rows without a
# relation, and F1 of each relation.
NONE_ACCURACY = len(bootstrap.SCORES)
FIRST_F1 = NONE_ACCURACY + 1


class Rows(NamedTuple):
  """What systems say of the same n rows.

  Attributes:
    relations: C names by id; "None" first, then those that some row has, the
      most frequent first.
    support: how many rows have each.
    gold: int[n] relation ids.
    predicted: int[S, n] of each system, by its S seeds; -1 for a relation that
      no row has.
    posts: int[n], see `bootstrap.number_posts`; each row is one where no file
      names its picture.
  """

  relations: list[str]
  support: list[int]
  gold: np.ndarray
  predicted: list[np.ndarray]
  posts: np.ndarray


class Estimates(NamedTuple):
  """Measures, or differences of measures, with their 95 % intervals.

  Attributes:
    value: float64[K, M], of K systems.
    low: float64[K, M].
    high: float64[K, M].
    p_value: float64[K, M], of being 0.
  """

  value: np.ndarray
  low: np.ndarray
  high: np.ndarray
  p_value: np.ndarray


def align(systems: Sequence[System]) -> Rows:
  """Brings the rows of all files into the first file's order."""
  order = list(systems[0].seeds[0].lines)
  gold = [systems[0].seeds[0].lines[row]["gold"] for row in order]
  counts = collections.Counter(gold)
  by_support = sorted(counts.keys() - {NONE}, key=lambda x: (-counts[x], x))
  relations = [NONE, *by_support]
  ids = {name: i for i, name in enumerate(relations)}
  return Rows(
    relations,
    [counts[name] for name in relations],
    np.array([ids[name] for name in gold]),
    [
      np.array(
        [
          [ids.get(seed.lines[row]["pred"], -1) for row in order]
          for seed in system.seeds
        ]
      )
      for system in systems
    ],
    bootstrap.number_posts([_picture(systems, row) for row in order]),
  )


def _picture(systems: Sequence[System], row: str | int) -> str | int | None:
  """Returns the `img_id` of a row in the first file that has it."""
  seeds = (seed for system in systems for seed in system.seeds)
  names = (seed.lines[row].get("img_id") for seed in seeds)
  return next((name for name in names if name not in ("", None)), None)


def measure(
  gold: np.ndarray, predicted: np.ndarray, num_relations: int
) -> Callable[..., np.ndarray]:
  """Returns a function from drawn rows to the measures of a system.

  Args:
    gold: int[n] relation ids.
    predicted: int[S, n], by seeds.
    num_relations: C.

  Returns:
    Maps float64[..., n], how often each row was drawn, and float64[..., S], how
    much each seed counts (None: all the same), to float64[M, ...], where M is
    5 + C.
  """
  everywhere = bootstrap.row_counts(gold, predicted)
  parts = [
    _counts_of_relation(gold, predicted, i) for i in range(num_relations)
  ]

  def measures(drawn, weights=None):
    scores = bootstrap.mean_scores(everywhere, drawn, weights)
    by_relation = np.stack(
      [
        bootstrap.mean_scores(counts, drawn[..., rows], weights)
        for rows, counts in parts
      ]
    )
    _, _, recall, f1 = np.moveaxis(by_relation, 1, 0)
    return np.concatenate([scores, recall[[metrics.NONE]], f1])

  return measures


def _counts_of_relation(
  gold: np.ndarray, predicted: np.ndarray, relation: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the rows that bear on a relation's F1, and what they add to it.

  They are few for most relations, so that sums over them are cheap.
  """
  rows = np.flatnonzero(
    (gold == relation) | np.any(predicted == relation, axis=0)
  )
  counts = bootstrap.row_counts(gold[rows], predicted[:, rows], relation)
  return rows, counts


def estimate(rows: Rows, seed: int = 0) -> tuple[Estimates, Estimates]:
  """Returns the measures of K systems, and K - 1 differences from the first.

  Args:
    rows: of all systems; at least two.
    seed: of the draws.
  """
  systems = [
    measure(rows.gold, predicted, len(rows.relations))
    for predicted in rows.predicted
  ]

  num_seeds = [len(predicted) for predicted in rows.predicted]

  def statistic(drawn, *weights):
    weights = weights or [None] * len(systems)
    pairs = zip(systems, weights, strict=True)
    measures = np.stack([system(drawn, seeds) for system, seeds in pairs])
    return np.concatenate([measures, measures[1:] - measures[:1]])

  found = Estimates(
    statistic(np.ones(len(rows.gold))),
    *bootstrap.interval(statistic, rows.posts, num_seeds, seed),
  )
  ends = len(systems)
  return (
    Estimates(*(bound[:ends] for bound in found)),
    Estimates(*(bound[ends:] for bound in found)),
  )


def by_seed(rows: Rows) -> list[np.ndarray]:
  """Returns `bootstrap.SCORES` of each system, float64[S, 4] by its seeds."""
  once = np.ones(len(rows.gold))
  return [
    np.stack(
      [
        bootstrap.mean_scores(bootstrap.row_counts(rows.gold, one), once)
        for one in predicted[:, None]
      ]
    )
    for predicted in rows.predicted
  ]
