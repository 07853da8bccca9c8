"""Bootstrap intervals over the posts of a split and the seeds of a system.

Rows of one post share their text and picture: MNRE's 1 614 test rows are 914
independent draws. Posts are therefore resampled, the cluster bootstrap (Davison
and Hinkley 1997, Bootstrap Methods and their Application, section 3.8; Field
and Welsh 2007, JRSS B 69, 369-390). Scores and differences have 95 % percentile
intervals; two systems are compared on the same draws.

The S > 1 seeds of a system are resampled as well, independently of the posts:
the pigeonhole bootstrap of crossed factors (Owen 2007, Annals of Applied
Statistics 1, 386-411). Drawing S - 1 of S makes the variance of the mean
unbiased (Rao and Wu 1988, JASA 83, 231-241); that of two or three seeds remains
a rough estimate. Intervals of a single seed are conditional on its weights.
"""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import scipy.stats

from ifa_jax.statistics import metrics

# The results of `mean_scores`, in this order.
SCORES = ("accuracy", "precision", "recall", "f1")

NUM_RESAMPLES = 9999


def row_counts(
  gold: np.ndarray, predicted: np.ndarray, relation: int | None = None
) -> np.ndarray:
  """Returns the contribution of every row to the counts that scores need.

  Args:
    gold: int[n] relation ids.
    predicted: int[S, n], by S seeds of a system.
    relation: to compute precision, recall and F1 of; None: all but "None".

  Returns:
    float64[S, n, 4], each 0 or 1: correct; correct and counted; counted as a
    prediction; counted as gold.
  """
  if relation is None:
    wanted, given = gold != metrics.NONE, predicted != metrics.NONE
  else:
    wanted, given = gold == relation, predicted == relation
  wanted, given = np.broadcast_arrays(wanted, given)
  right = gold == predicted
  columns = np.stack([right, right & wanted, given, wanted], axis=-1)
  return columns.astype(np.float64)


def mean_scores(
  counts: np.ndarray,
  times_drawn: np.ndarray,
  weights: np.ndarray | None = None,
) -> np.ndarray:
  """Returns `SCORES`, averaged over seeds.

  Args:
    counts: float64[S, n, 4], see `row_counts`.
    times_drawn: float64[..., n], how often each row counts; ones for the scores
      of the rows themselves.
    weights: float64[..., S] of the seeds, with sum 1; None: uniform.

  Returns:
    float64[4, ...]; 0/0 counts as 0.
  """
  sums = np.tensordot(times_drawn, counts, axes=(-1, 1))
  correct, right, given, wanted = np.moveaxis(sums, -1, 0)
  drawn = np.broadcast_to(times_drawn.sum(axis=-1)[..., None], correct.shape)
  parts = np.stack([correct, right, right, 2 * right])
  wholes = np.stack([drawn, given, wanted, given + wanted])
  zeros = np.zeros_like(parts)
  scores = np.divide(parts, wholes, out=zeros, where=wholes > 0)
  if weights is None:
    return scores.mean(axis=-1)
  return (scores * weights).sum(axis=-1)


def number_posts(names: Sequence[Hashable]) -> np.ndarray:
  """Returns int[n], the post of each row, counted from 0.

  Args:
    names: the picture of each row; a row without one, "" or None, is a post of
      its own.
  """
  numbers = {}
  # A tuple keeps the name 0 apart from the row 0.
  keys = (
    row if name in ("", None) else (name,) for row, name in enumerate(names)
  )
  return np.array([numbers.setdefault(key, len(numbers)) for key in keys], int)


def interval(
  statistic: Callable[..., np.ndarray],
  posts: np.ndarray,
  num_seeds: Sequence[int] = (),
  seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns the bootstrap interval of a statistic of rows.

  Args:
    statistic: maps float64[R, n], how often each row was drawn, and for each
      of `num_seeds` float64[R, S], the weights of the seeds, to
      float64[..., R];
      for example the difference of two `mean_scores`, which is then paired.
    posts: int[n], see `number_posts`; rows of a post are drawn together.
    num_seeds: S of each system. A single seed always has weight 1.
    seed: of the draws.

  Returns:
    The 95 % interval's bounds, and the two-sided p value of 0: float64[...].

  Raises:
    ValueError: if all rows are of one post.
  """
  num_posts = int(posts.max()) + 1
  if num_posts < 2:
    raise ValueError("img_id: expected rows of at least 2 posts, got 1")
  several = [k for k, number in enumerate(num_seeds) if number > 1]

  def of_draws(*drawn, axis):
    rows, *seeds = map(np.atleast_2d, drawn)
    weights = [np.ones((len(rows), 1))] * len(num_seeds)
    for k, chosen in zip(several, seeds, strict=True):
      most = num_seeds[k]
      weights[k] = _times_drawn(chosen[:, 1:], most) / (most - 1)
    return statistic(_times_drawn(rows, num_posts)[:, posts], *weights)

  found = scipy.stats.bootstrap(
    [np.arange(num) for num in (num_posts, *(num_seeds[k] for k in several))],
    of_draws,
    n_resamples=NUM_RESAMPLES,
    batch=1000,
    vectorized=True,
    method="percentile",
    rng=np.random.default_rng(seed),
  )
  low, high = found.confidence_interval
  return low, high, _p_value(found.bootstrap_distribution)


def _times_drawn(drawn: np.ndarray, most: int) -> np.ndarray:
  """Counts int[R, k] numbers below `most` by draw: float64[R, most]."""
  # One bincount of all draws, each in a range of its own.
  offsets = most * np.arange(len(drawn))[:, None]
  size = most * len(drawn)
  counted = np.bincount((drawn + offsets).ravel(), minlength=size)
  return counted.reshape(len(drawn), most).astype(np.float64)


def _p_value(values: np.ndarray) -> np.ndarray:
  """Returns the two-sided p value of 0 among float64[..., R] resamples.

  The observed value counts as one more (Davison and Hinkley, section 4.2).
  """
  sides = [np.sum(side, axis=-1) for side in (values <= 0, values >= 0)]
  least = (1 + np.minimum(*sides)) / (1 + values.shape[-1])
  return np.minimum(1.0, 2 * least)
