"""Scores of rows as they are and rewritten, with paired intervals."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.statistics import bootstrap, metrics


class Answers(NamedTuple):
  """Relation ids of n rows.

  Attributes:
    gold: int[n].
    original: int[n], predicted for the rows as they are.
    replaced: int[S, n], predicted for S rewritings of them.
    posts: int[n], see `bootstrap.number_posts`.
  """

  gold: np.ndarray
  original: np.ndarray
  replaced: np.ndarray
  posts: np.ndarray


def compare(
  answers: Answers, groups: Mapping[str, np.ndarray]
) -> dict[str, Any]:
  """Compares the scores of rows as they are with those of rewritten ones.

  Args:
    answers: of all rows.
    groups: name -> bool[n], rows whose accuracy is also compared; a group
      without rows is left out.

  Returns:
    Plain values. `scores` maps each of `bootstrap.SCORES`, and `groups` each
    group, to `support`, `original`, `replaced`, `difference` (replaced -
    original) with its 95 % interval `low` and `high`, and `by_seed` of the
    replaced rows. `changed` maps "all rows" and "rows with a relation" to the
    share of predictions that differ from the original's.

  Raises:
    ValueError: if all rows are of one post.
  """
  places = {k: np.flatnonzero(x) for k, x in groups.items() if x.any()}
  counts = [
    bootstrap.row_counts(answers.gold, x)
    for x in (answers.original[None], answers.replaced)
  ]

  def measures(counted, drawn, weights=None):
    accuracies = [
      bootstrap.mean_scores(counted[:, rows], drawn[..., rows], weights)[:1]
      for rows in places.values()
    ]
    scores = bootstrap.mean_scores(counted, drawn, weights)
    return np.concatenate([scores, *accuracies])

  def statistic(drawn, seeds):
    old = measures(counts[0], drawn)
    return measures(counts[1], drawn, seeds) - old

  once = np.ones(len(answers.gold))
  old, new = (measures(counted, once) for counted in counts)
  seeds = np.stack([measures(one[None], once) for one in counts[1]], axis=-1)
  num_seeds = [len(answers.replaced)]
  low, high, _ = bootstrap.interval(statistic, answers.posts, num_seeds)

  def described(i, support):
    return {
      "support": support,
      "original": float(old[i]),
      "replaced": float(new[i]),
      "difference": float(new[i] - old[i]),
      "low": float(low[i]),
      "high": float(high[i]),
      "excludes_0": bool(low[i] > 0 or high[i] < 0),
      "by_seed": seeds[i].tolist(),
    }

  num_scores, num_rows = len(bootstrap.SCORES), len(answers.gold)
  return {
    "scores": {
      name: described(i, num_rows) for i, name in enumerate(bootstrap.SCORES)
    },
    "groups": {
      name: described(i, len(rows))
      for i, (name, rows) in enumerate(places.items(), num_scores)
    },
    "changed": _changed(answers),
  }


def _changed(answers: Answers) -> dict[str, float]:
  differs = answers.replaced != answers.original
  related = answers.gold != metrics.NONE
  found = {"all rows": float(differs.mean())}
  if related.any():
    found["rows with a relation"] = float(differs[:, related].mean())
  return found
