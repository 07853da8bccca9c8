"""Bootstrap intervals over the rows of a split.

One standard error of F1 is about 1.5 points on MNRE's test split, so scores
and differences come with 95 % percentile intervals. Rows are drawn, not
predictions: two systems are compared on the same draws (the paired bootstrap).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.stats

from ifa_jax.statistics import metrics

# What `mean_scores` returns, in this order.
SCORES = ("accuracy", "precision", "recall", "f1")

NUM_RESAMPLES = 9999


class Interval(NamedTuple):
  """The bounds of 95 % intervals.

  Attributes:
    low: float64[...].
    high: float64[...].
  """

  low: np.ndarray
  high: np.ndarray


def row_counts(
  gold: np.ndarray, predicted: np.ndarray, relation: int | None = None
) -> np.ndarray:
  """Returns what every row adds to the counts that scores are made of.

  Args:
    gold: int[n] relation ids.
    predicted: int[S, n], by S seeds of a system.
    relation: the one that precision, recall and F1 are of; None: all but
      "None".

  Returns:
    float64[S, n, 4], each 0 or 1: labelled right; right and counted; counted
    among predictions; counted among gold relations.
  """
  counts = (
    np.not_equal(gold, metrics.NONE),
    np.not_equal(predicted, metrics.NONE),
  )
  if relation is not None:
    counts = np.equal(gold, relation), np.equal(predicted, relation)
  wanted, given = np.broadcast_arrays(*counts)
  right = gold == predicted
  columns = np.stack([right, right & wanted, given, wanted], axis=-1)
  return columns.astype(np.float64)


def mean_scores(counts: np.ndarray, times_drawn: np.ndarray) -> np.ndarray:
  """Returns `SCORES`, the mean over seeds.

  Args:
    counts: float64[S, n, 4], see `row_counts`.
    times_drawn: float64[..., n], how often each row counts; ones give the
      scores themselves.

  Returns:
    float64[4, ...]; 0/0 counts as 0.
  """
  sums = np.tensordot(times_drawn, counts, axes=(-1, 1))
  correct, right, given, wanted = np.moveaxis(sums, -1, 0)
  drawn = np.broadcast_to(times_drawn.sum(axis=-1)[..., None], correct.shape)
  pairs = (
    (correct, drawn),
    (right, given),
    (right, wanted),
    (2 * right, given + wanted),
  )
  return np.stack([_ratio(*pair).mean(axis=-1) for pair in pairs])


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
  return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def interval(
  statistic: Callable[[np.ndarray], np.ndarray], num_rows: int, seed: int = 0
) -> Interval:
  """Returns the bootstrap interval of anything computed from rows.

  Args:
    statistic: maps float64[R, n], how often each row was drawn, to
      float64[..., R]. The difference of two `mean_scores` is a paired one.
    num_rows: n.
    seed: of the draws.
  """

  def of_rows(rows, axis):
    return statistic(_times_drawn(np.atleast_2d(rows), num_rows))

  found = scipy.stats.bootstrap(
    (np.arange(num_rows),),
    of_rows,
    n_resamples=NUM_RESAMPLES,
    batch=1000,
    vectorized=True,
    method="percentile",
    rng=np.random.default_rng(seed),
  )
  return Interval(*found.confidence_interval)


def _times_drawn(rows: np.ndarray, num_rows: int) -> np.ndarray:
  """Counts int[R, n] row numbers: float64[R, n], how often each was drawn."""
  offsets = num_rows * np.arange(len(rows))[:, None]
  counted = np.bincount((rows + offsets).ravel(), minlength=rows.size)
  return counted.reshape(rows.shape).astype(np.float64)
