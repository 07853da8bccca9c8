"""Scores of conditions and their differences from standard, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ifa_jax.analyze import tables
from ifa_jax.analyze.shuffle.conditions import Condition
from ifa_jax.statistics import bootstrap


def summarise(
  gold: np.ndarray, found: Sequence[Condition], posts: np.ndarray
) -> list[dict[str, Any]]:
  """Returns each condition's scores with intervals, plain values for JSON.

  Several runs are resampled with the posts, the same runs of both conditions of
  a difference; otherwise permutations are.

  Args:
    gold: int[n].
    found: standard first; the others are compared with it on the same
      resamples. Each has one run or as many as it.
    posts: int[n], see `bootstrap.number_posts`.

  Returns:
    For each condition `condition`, `seeds`, `own_pictures` (fraction of rows
    that a permutation leaves with theirs, or None), `scores`, and
    `minus_standard` unless it is that. Both of these map a name of
    `bootstrap.SCORES` to `mean`, `low` and `high`; `scores` also to `by_seed`,
    of each run, or of each permutation of a single run.
  """
  rows = []
  for condition in found:
    values, low, high = _estimate(gold, found[0], condition, posts)
    bounds = {"mean": values, "low": low, "high": high}
    parts: list[dict[str, Any]] = [
      {
        name: {key: float(bound[part, i]) for key, bound in bounds.items()}
        for i, name in enumerate(bootstrap.SCORES)
      }
      for part in range(2)
    ]
    scores, minus_standard = parts
    by_seed = _by_seed(gold, condition.predicted)
    for name, column in zip(bootstrap.SCORES, by_seed.T, strict=True):
      scores[name]["by_seed"] = column.tolist()
    row = {"condition": condition.name, "seeds": list(condition.seeds)}
    row |= {"own_pictures": condition.own, "scores": scores}
    if condition is not found[0]:
      row["minus_standard"] = minus_standard
    rows.append(row)
  return rows


def _estimate(
  gold: np.ndarray, standard: Condition, other: Condition, posts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns a condition's scores and differences, float[2, 4], with bounds."""
  num_runs, num_permutations, _ = other.predicted.shape
  several = num_runs > 1
  ours, theirs = (
    bootstrap.row_counts(gold, x.predicted.reshape(-1, len(gold)))
    for x in (standard, other)
  )

  def statistic(drawn, weights=None, standard_weights=None):
    if several and weights is not None:
      # Those of a run are divided among its permutations.
      standard_weights = weights
      weights = np.repeat(weights, num_permutations, -1) / num_permutations
    scores = bootstrap.mean_scores(theirs, drawn, weights)
    base = bootstrap.mean_scores(ours, drawn, standard_weights)
    return np.stack([scores, scores - base])

  # One run next to several: only those of standard are drawn.
  apart = [len(ours)] if len(ours) > num_runs else []
  drawn = [num_runs if several else num_permutations, *apart]
  low, high, _ = bootstrap.interval(statistic, posts, drawn)
  return statistic(np.ones(len(posts))), low, high


def _by_seed(gold: np.ndarray, predicted: np.ndarray) -> np.ndarray:
  """Returns float64[S, 4] by runs, or [P, 4] by permutations of one run."""
  if len(predicted) == 1:
    predicted = predicted[0][:, None]
  once = np.ones(len(gold))
  counts = (bootstrap.row_counts(gold, one) for one in predicted)
  return np.stack([bootstrap.mean_scores(one, once) for one in counts])


def cells(row: Mapping[str, Any], share: float | None) -> list[str]:
  """Returns a condition's line of a table.

  Args:
    row: of `summarise`.
    share: of the rows, in the second cell; None leaves it empty.
  """
  scores, difference = row["scores"], ""
  if "minus_standard" in row:
    apart = row["minus_standard"]["f1"]
    difference = (
      f"{tables.percent(apart['mean'], '+')} {tables.interval(apart)}"
    )
  return [
    row["condition"],
    "" if share is None else tables.percent(share),
    *(
      tables.percent(scores[name]["mean"])
      for name in ("accuracy", "precision", "recall")
    ),
    tables.mean(scores["f1"]["by_seed"]),
    tables.interval(scores["f1"]),
    difference,
  ]
