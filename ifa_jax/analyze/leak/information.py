"""Information about a label in a number, measured on rows not used to learn it.

The probability of each label given each number is estimated with as many
pseudo-counts as there are labels, distributed as the labels of all rows are.
The gain of a row is log2 of the probability of its label given its number over
that of its label given nothing. The share is the sum of the gains over the bits
of the labels given nothing. It is

  a leak         if it exceeds the tolerance, and is exceeded in at most a
                 fraction `level` of permutations of the numbers;
  no leak        if its upper bound at that level, computed with one more post
                 of maximal gain, does not exceed the tolerance;
  too few rows   otherwise.

Rows of one post share their picture. Hence whole posts are permuted, among
posts with the same number of rows, and bounds are computed over posts.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

LEAK = "leak"
NO_LEAK = "no leak"
TOO_FEW = "too few rows to tell"

# False positive rate of all tests of one audit together (Bonferroni), and of
# the test of queries.
ALPHA = 0.01

NUM_PERMUTATIONS = 4999
# Permutations stop after this many as extreme ones (Besag and Clifford 1991,
# Biometrika 78, 301-304).
_MAX_AS_MUCH = 20
_BATCH = 250
# Limits the memory of a batch where there are many labels.
_MAX_CELLS = 1 << 22
_FOLDS = 5


class Sample(NamedTuple):
  """Rows of a split."""

  numbers: np.ndarray  # int[n] or float[n], the number under test.
  labels: np.ndarray  # int[n], from 0.
  posts: np.ndarray  # int[n], from 0.


def verdict_of_bounds(low: float, high: float, tolerance: float) -> str:
  """Returns the verdict on a quantity given its confidence bounds."""
  if low > tolerance:
    return LEAK
  return NO_LEAK if high <= tolerance else TOO_FEW


def worst(verdicts: Iterable[str]) -> str:
  """Returns the worst verdict: a leak, then too few rows, then no leak."""
  found = {*verdicts}
  return next((v for v in (LEAK, TOO_FEW) if v in found), NO_LEAK)


def join(splits: Iterable[Sample]) -> Sample:
  """Concatenates splits, which have no posts in common."""
  parts, start = [], 0
  for split in splits:
    parts.append(split._replace(posts=split.posts + start))
    start += split.posts.max(initial=-1) + 1
  return Sample(*map(np.concatenate, zip(*parts, strict=True)))


def judge(
  sample: Sample,
  train: Sample | None,
  num_labels: int,
  tolerance: float,
  level: float,
) -> dict[str, Any]:
  """Tests the information in a number about the C labels of a sample.

  Args:
    sample: the rows to test on.
    train: the rows to learn from; None: cross-validation over the posts of the
      sample.
    num_labels: C.
    tolerance: maximal share, in [0, 1].
    level: false positive rate.

  Returns:
    Plain values: `rows`, `posts`; `open`, bits per row of the labels given
    nothing; `told`, gain in bits per row; `share`, told / open; `high`, upper
    bound of the share; `p_value`; `verdict`.
  """
  if not len(sample.numbers):
    names = ("rows", "posts", "open", "told", "share")
    found = {"high": 1.0, "p_value": 1.0, "verdict": TOO_FEW}
    return dict.fromkeys(names, 0) | found
  test = _Test(sample, train, num_labels)
  counts = test.count(test.places[None])
  bits, left = (table[0] for table in test.learn(counts))
  gains = bits[test.folds, test.places, sample.labels]
  most = left[test.folds, 0, sample.labels]
  # With few posts, all of small gain, the variance is underestimated: one more.
  by_post = (
    np.append(np.bincount(sample.posts, gains), bits.max()),
    np.append(np.bincount(sample.posts, most), most.mean()),
  )
  found = {
    "rows": len(gains),
    "posts": len(np.unique(sample.posts)),
    "open": float(most.mean()),
    "told": float(gains.mean()),
    "share": float(gains.sum() / most.sum()),
    "high": _upper_bound(*by_post, level),
    "p_value": test.p_value(gains.sum(), level),
  }
  if len(np.unique(sample.labels)) == 1:
    return found | {"verdict": TOO_FEW}
  low = found["share"] if found["p_value"] <= level else -np.inf
  return found | {"verdict": verdict_of_bounds(low, found["high"], tolerance)}


class _Test:
  """Counts of rows by fold, number and label, observed and permuted."""

  def __init__(self, sample: Sample, train: Sample | None, num_labels: int):
    learned = train or Sample(*(values[:0] for values in sample))
    numbers, places = np.unique(
      np.concatenate([sample.numbers, learned.numbers]), return_inverse=True
    )
    # int[n], the index of each row's number among all numbers.
    self.places, theirs = np.split(places, [len(sample.numbers)])
    num_folds = 1 if train else _FOLDS
    self.folds = sample.posts % num_folds
    self._labels, self._posts = sample.labels, sample.posts
    self._shape = (num_folds, len(numbers), num_labels)
    self._train = None
    if train:
      self._train = np.zeros((1, 1, *self._shape[1:]))
      np.add.at(self._train[0, 0], (theirs, train.labels), 1)

  def count(self, places: np.ndarray) -> np.ndarray:
    """Returns float64[B, F, K, C] rows for int[B, n] places."""
    shape = (len(places), *self._shape)
    draws = np.arange(len(places))[:, None]
    cells = np.ravel_multi_index(
      np.broadcast_arrays(draws, self.folds, places, self._labels), shape
    )
    counts = np.bincount(cells.ravel(), minlength=np.prod(shape, dtype=int))
    return counts.reshape(shape).astype(np.float64)

  def learn(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the gain of each fold, number and label, and bits given nothing.

    Learns from rows of train or, for each fold of float64[B, F, K, C] counts,
    from the others.

    Returns:
      float64[B, F, K, C] and float64[B, F, 1, C]. A number that does not occur
      in the rows learned from has gain 0.
    """
    rows = self._train
    if rows is None:
      rows = counts.sum(axis=1, keepdims=True) - counts
    num_labels = rows.shape[-1]
    of_label = rows.sum(axis=-2, keepdims=True) + 1
    chances = of_label / of_label.sum(axis=-1, keepdims=True)
    given = rows + num_labels * chances
    given /= given.sum(axis=-1, keepdims=True)
    return np.log2(given / chances), -np.log2(chances)

  def p_value(self, observed: float, level: float) -> float:
    """Returns the permutation p value of an observed sum of gains."""
    rng, blocks = np.random.default_rng(0), [*_blocks(self._posts)]
    batch = min(_BATCH, max(1, _MAX_CELLS // np.prod(self._shape, dtype=int)))
    # No p value is below 1 / (1 + most).
    most = max(NUM_PERMUTATIONS, int(np.ceil(2 / level)))
    # Sums of the same terms in another order differ by rounding.
    least = observed - 1e-9 * len(self.places)
    tried = as_much = 0
    while tried < most and as_much < _MAX_AS_MUCH:
      size = min(batch, most - tried)
      places = np.empty((size, len(self.places)), int)
      for rows in blocks:
        order = np.tile(np.arange(len(rows)), (size, 1))
        drawn = rows[rng.permuted(order, axis=1)]
        places[:, rows] = self.places[drawn]
      counts = self.count(places)
      sums = np.sum(counts * self.learn(counts)[0], axis=(1, 2, 3))
      tried, as_much = tried + size, as_much + int(np.sum(sums >= least))
    return (1 + as_much) / (1 + tried)


def _blocks(posts: np.ndarray) -> Iterator[np.ndarray]:
  """Yields int[m, k], the rows of the m posts that have k rows each."""
  order = np.argsort(posts, kind="stable")
  _, starts, sizes = np.unique(
    posts[order], return_index=True, return_counts=True
  )
  for size in np.unique(sizes):
    yield order[starts[sizes == size][:, None] + np.arange(size)]


def _upper_bound(gain: np.ndarray, left: np.ndarray, level: float) -> float:
  """Returns the upper bound of the share of posts' gains in their bits left."""
  share = gain.sum() / left.sum()
  error = np.sqrt(np.sum((gain - share * left) ** 2)) / left.sum()
  return float(share + scipy.stats.norm.isf(level) * error)
