"""How much a number tells of a label: bits, on rows that it was not learnt on.

On train, the chance of each label is learnt for each number, drawn towards that
of all rows by as many imagined rows as there are labels. On the others, what it
tells is how much likelier it makes their labels than the chances of all rows do
(log2), as a share of what these leave open. That share is

  a leak         if it is more than is tolerated, and more than in all but a
                 share `level` of permutations of the numbers;
  no leak        if it is surely not above the tolerated one (upper bound of
                 that level, with one post more that tells the most);
  too few rows   otherwise.

Rows of one post share their picture, so whole posts are permuted, among those
of as many rows, and bounds are by posts. Permutations end where enough of them
tell as much (Besag and Clifford 1991, Biometrika 78, 301-304).
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from ifa_jax.analyze.leak import verdicts

NUM_PERMUTATIONS = 4999
# So many permutations that tell as much end the test.
_ENOUGH = 20
_BATCH = 250


class Labelled(NamedTuple):
  """Rows of a split.

  Attributes:
    numbers: int[n], how many of something each row has.
    labels: int[n], from 0.
    posts: int[n], rows with one number share their picture.
  """

  numbers: np.ndarray
  labels: np.ndarray
  posts: np.ndarray


class Told(NamedTuple):
  """What is learnt on train.

  Attributes:
    numbers: int[K], those of train, ascending.
    bits: float64[K + 1, C], what each tells of each label; the last line is
      that of other numbers, which tell nothing.
    open: float64[C], bits that the label leaves open without a number.
  """

  numbers: np.ndarray
  bits: np.ndarray
  open: np.ndarray

  def find(self, numbers: np.ndarray) -> np.ndarray:
    """Returns int[n], the line of `bits` for each number."""
    places = np.searchsorted(self.numbers, numbers)
    known = np.isin(numbers, self.numbers)
    return np.where(known, places, len(self.numbers))


def learn(train: Labelled, num_labels: int) -> Told:
  """Learns what numbers tell.

  Args:
    train: its rows.
    num_labels: C.
  """
  numbers, places = np.unique(train.numbers, return_inverse=True)
  rows = np.zeros((len(numbers) + 1, num_labels))
  np.add.at(rows, (places, train.labels), 1)
  chances = (rows.sum(axis=0) + 1) / (rows.sum() + num_labels)
  drawn = rows + num_labels * chances
  drawn /= drawn.sum(axis=1, keepdims=True)
  return Told(numbers, np.log2(drawn / chances), -np.log2(chances))


def judge(
  train: Labelled,
  held_out: Sequence[Labelled],
  num_labels: int,
  tolerance: float,
  level: float,
) -> dict[str, Any]:
  """Weighs what a number tells of the labels of held-out splits.

  Args:
    train: what is learnt on.
    held_out: what that is tried on.
    num_labels: C.
    tolerance: share that it may tell, in [0, 1].
    level: how often one cries leak where there is none.

  Returns:
    Plain values: `rows` and `posts`; `open`: bits a row that its label leaves
    open; `told`: bits a row that the number tells; `share`, the one of the
    other; `high`, its upper bound; `p_value`; `verdict`.
  """
  told = learn(train, num_labels)
  numbers, labels, posts = _join(held_out)
  places = told.find(numbers)
  if not len(numbers):
    return _nothing() | {"verdict": verdicts.TOO_FEW}
  gains, most = told.bits[places, labels], told.open[labels]
  found = {
    "rows": len(numbers),
    "posts": len(np.unique(posts)),
    "open": float(most.mean()),
    "told": float(gains.mean()),
    "share": float(gains.sum() / most.sum()),
    "high": _high(gains, most, posts, told, level),
    "p_value": _p_value(told.bits, places, labels, posts),
  }
  return found | {"verdict": _verdict(found, labels, tolerance, level)}


def _nothing() -> dict[str, Any]:
  names = ("rows", "posts", "open", "told", "share")
  return dict.fromkeys(names, 0) | {"high": 1.0, "p_value": 1.0}


def _join(splits: Sequence[Labelled]) -> Labelled:
  """Puts splits one after the other; they have no posts in common."""
  starts = np.cumsum(
    [0, *(split.posts.max(initial=-1) + 1 for split in splits)]
  )
  posts = [split.posts + i for split, i in zip(splits, starts, strict=False)]
  return Labelled(
    np.concatenate([split.numbers for split in splits]),
    np.concatenate([split.labels for split in splits]),
    np.concatenate(posts),
  )


def _high(
  gains: np.ndarray,
  most: np.ndarray,
  posts: np.ndarray,
  told: Told,
  level: float,
) -> float:
  """Returns the upper bound of the share of float64[n] gains."""
  gain = np.append(np.bincount(posts, gains), told.bits.max())
  left = np.append(np.bincount(posts, most), most.mean())
  share = gain.sum() / left.sum()
  error = np.sqrt(np.sum((gain - share * left) ** 2)) / left.sum()
  return float(share + scipy.stats.norm.isf(level) * error)


def _p_value(
  bits: np.ndarray, places: np.ndarray, labels: np.ndarray, posts: np.ndarray
) -> float:
  """Returns the chance to tell so much where numbers and labels are unrelated.

  Args:
    bits: float64[K + 1, C].
    places: int[n], lines of `bits`.
    labels: int[n].
    posts: int[n].
  """
  rng, blocks = np.random.default_rng(0), [*_blocks(posts)]
  # Sums of the same terms in another order differ by rounding.
  least = bits[places, labels].sum() - 1e-9 * len(labels)
  tried = as_much = 0
  while tried < NUM_PERMUTATIONS and as_much < _ENOUGH:
    size = min(_BATCH, NUM_PERMUTATIONS - tried)
    sums = np.zeros(size)
    for rows in blocks:
      order = rng.permuted(np.tile(np.arange(len(rows)), (size, 1)), axis=1)
      sums += bits[places[rows][order], labels[rows]].sum(axis=(1, 2))
    tried, as_much = tried + size, as_much + int(np.sum(sums >= least))
  return (1 + as_much) / (1 + tried)


def _blocks(posts: np.ndarray) -> Iterator[np.ndarray]:
  """Yields int[m, k], the rows of m posts that have k each."""
  order = np.argsort(posts, kind="stable")
  _, starts, sizes = np.unique(
    posts[order], return_index=True, return_counts=True
  )
  for size in np.unique(sizes):
    yield order[starts[sizes == size][:, None] + np.arange(size)]


def _verdict(
  found: dict[str, Any], labels: np.ndarray, tolerance: float, level: float
) -> str:
  if len(np.unique(labels)) == 1:
    return verdicts.TOO_FEW
  if found["share"] > tolerance and found["p_value"] <= level:
    return verdicts.LEAK
  surely = found["high"] <= tolerance
  return verdicts.NO_LEAK if surely else verdicts.TOO_FEW
