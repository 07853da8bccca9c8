"""Scores of systems and differences between them, on the same draws.

Scores are means over the seeds of a system. All systems are scored on the same
drawn posts, so that differences have paired bootstrap intervals; see
`bootstrap`.
"""

import collections
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ifa_jax.statistics import bootstrap, metrics
from ifa_jax.statistics.predictions import NONE
from ifa_jax.statistics.systems import PredictedSystem

# Measures of a system: the scores over all rows, accuracy on rows without a
# relation, and F1 of each relation.
NONE_ACCURACY = len(bootstrap.SCORES)
FIRST_F1 = NONE_ACCURACY + 1


class Rows(NamedTuple):
  """Predictions of systems for the same n rows."""

  # C names by id: "None", then those of gold rows, the most frequent first.
  relations: list[str]
  support: list[int]  # Rows of each relation.
  gold: np.ndarray  # int[n] relation ids.
  # int[S, n] of each system by its S seeds; -1 if no gold row has the relation.
  predicted: list[np.ndarray]
  posts: np.ndarray  # int[n], see `bootstrap.number_posts`.


class Estimates(NamedTuple):
  """Measures, or differences, of K systems: float64[K, M] with 95 % bounds."""

  value: np.ndarray
  low: np.ndarray
  high: np.ndarray
  p_value: np.ndarray  # For a measure of 0.


def align(systems: Sequence[PredictedSystem]) -> Rows:
  """Sorts the rows of all files in the order of the first file."""
  order = list(systems[0].seeds[0].lines)
  gold = [systems[0].seeds[0].lines[row]["gold"] for row in order]
  counts = collections.Counter(gold)
  by_support = sorted(counts.keys() - {NONE}, key=lambda x: (-counts[x], x))
  relations = [NONE, *by_support]
  ids = {name: i for i, name in enumerate(relations)}

  def predicted(seed):
    return [ids.get(seed.lines[row]["pred"], -1) for row in order]

  def picture(row):
    """Returns the `img_id` of a row in the first file that has it."""
    seeds = (seed for system in systems for seed in system.seeds)
    names = (seed.lines[row].get("img_id") for seed in seeds)
    return next((name for name in names if name not in ("", None)), None)

  return Rows(
    relations,
    [counts[name] for name in relations],
    np.array([ids[name] for name in gold]),
    [np.array([*map(predicted, system.seeds)]) for system in systems],
    bootstrap.number_posts([picture(row) for row in order]),
  )


def measure(
  gold: np.ndarray, predicted: np.ndarray, num_relations: int
) -> Callable[..., np.ndarray]:
  """Returns a function that computes the measures of a system on drawn rows.

  Args:
    gold: int[n] relation ids.
    predicted: int[S, n], by seeds.
    num_relations: C.

  Returns:
    Maps float64[..., n], how often each row was drawn, and float64[..., S], the
    weights of the seeds (None: uniform), to float64[M, ...] with M = 5 + C.
  """
  everywhere = bootstrap.row_counts(gold, predicted)
  parts = []
  for relation in range(num_relations):
    # Few rows contribute to the F1 of most relations, so sums are cheap.
    is_used = (gold == relation) | np.any(predicted == relation, axis=0)
    rows = np.flatnonzero(is_used)
    counts = bootstrap.row_counts(gold[rows], predicted[:, rows], relation)
    parts.append((rows, counts))

  def measures(drawn, weights=None):
    scores = bootstrap.mean_scores(everywhere, drawn, weights)
    by_relation = [
      bootstrap.mean_scores(counts, drawn[..., rows], weights)
      for rows, counts in parts
    ]
    _, _, recall, f1 = np.stack(by_relation, axis=1)
    return np.concatenate([scores, recall[[metrics.NONE]], f1])

  return measures


def estimate(rows: Rows, seed: int = 0) -> tuple[Estimates, Estimates]:
  """Returns the measures of K systems, and K - 1 differences from the first."""
  systems = [
    measure(rows.gold, predicted, len(rows.relations))
    for predicted in rows.predicted
  ]

  def statistic(drawn, *weights):
    weights = weights or [None] * len(systems)
    pairs = zip(systems, weights, strict=True)
    measures = np.stack([system(drawn, seeds) for system, seeds in pairs])
    return np.concatenate([measures, measures[1:] - measures[:1]])

  num_seeds = [len(predicted) for predicted in rows.predicted]
  values = statistic(np.ones(len(rows.gold)))
  bounds = bootstrap.interval(statistic, rows.posts, num_seeds, seed)
  parts = (np.split(x, [len(systems)]) for x in (values, *bounds))
  measures, differences = map(Estimates._make, zip(*parts, strict=True))
  return measures, differences


def by_seed(rows: Rows) -> list[np.ndarray]:
  """Returns `bootstrap.SCORES` of each system, float64[S, 4] by its seeds."""

  def scores(predicted):
    counts = bootstrap.row_counts(rows.gold, predicted[None])
    return bootstrap.mean_scores(counts, np.ones(len(rows.gold)))

  return [np.stack([*map(scores, seeds)]) for seeds in rows.predicted]
