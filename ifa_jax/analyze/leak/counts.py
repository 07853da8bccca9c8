"""Whether the number of something tells that a row has a relation.

A rule is learnt on train: each number stands for the class, relation or None,
that most of its training rows have. The yardstick is the majority class, that
of most training rows, which errs on all rows of the other. Val and test
together, which the rule has not seen, show

  a leak         if the rule corrects more than a tolerated share of these
                 errors, net of those it makes, and corrects more than it makes
                 in an exact McNemar test at the level of `verdicts.ALPHA`;
  no leak        if the share is surely not above the tolerated one (exact upper
                 bound, same level), or if all rows have the same number;
  too few rows   otherwise.

Rows of one post share their picture, so for what depends on the picture the
test counts some evidence twice; the tolerance is also against that. A number
whose rows are mostly of the majority class throughout passes, even if their
shares differ.
"""

import collections
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from ifa_jax.analyze.leak import verdicts
from ifa_jax.statistics.metrics import f1_score, ratio

HELD_OUT = ("val", "test")


class Counted(NamedTuple):
  """The rows of a split.

  Attributes:
    numbers: int[n], how many of something each row has.
    has_relation: bool[n].
  """

  numbers: np.ndarray
  has_relation: np.ndarray


class Threshold(NamedTuple):
  """Says "relation" for more than `number`, or for at most so many."""

  more: bool
  number: int

  def __str__(self) -> str:
    """Returns "more than 2"."""
    return f"{'more than' if self.more else 'at most'} {self.number}"

  def predict(self, numbers: np.ndarray) -> np.ndarray:
    """Returns bool[n], True for a relation."""
    return (numbers > self.number) == self.more


class Rule(NamedTuple):
  """The class of most training rows with a number.

  Attributes:
    majority: whether most training rows have a relation.
    others: the numbers most of whose training rows are of the other class.
  """

  majority: bool
  others: tuple[int, ...]

  def predict(self, numbers: np.ndarray) -> np.ndarray:
    """Returns bool[n]; unseen numbers get the majority class."""
    return np.isin(numbers, self.others) != self.majority


def measure(splits: Mapping[str, Counted], tolerance: float) -> dict[str, Any]:
  """Returns what a number tells, plain values ready for JSON.

  Args:
    splits: train, val and test.
    tolerance: share of the majority class's errors, in [0, 1].

  Returns:
    `table`: split -> {"none", "relation"} -> number -> rows that have it.
    `threshold`: the one that is right on most training rows, as text, or None
    if all training rows have one number; `finding`: split -> its precision,
    recall and F1 of finding a relation. `accuracy`: split -> that of the rule
    (`rule`) and of the majority class (`majority`). `held_out`: val and test
    together, and the verdict.
  """
  threshold = best_threshold(splits["train"])
  rule = learn(splits["train"])
  return {
    "table": {name: table(split) for name, split in splits.items()},
    "threshold": None if threshold is None else str(threshold),
    "finding": {
      name: finding(threshold, split)
      for name, split in splits.items()
      if threshold is not None
    },
    "accuracy": {
      name: {
        "rule": _accuracy(rule.predict(split.numbers), split),
        "majority": _accuracy(rule.majority, split),
      }
      for name, split in splits.items()
    },
    "held_out": judge(splits, rule, tolerance),
  }


def table(split: Counted) -> dict[str, dict[int, int]]:
  """Returns number -> rows that have it, by class, ascending."""
  return {
    name: dict(sorted(collections.Counter(rows.tolist()).items()))
    for name, rows in (
      ("none", split.numbers[~split.has_relation]),
      ("relation", split.numbers[split.has_relation]),
    )
  }


def best_threshold(train: Counted) -> Threshold | None:
  """Returns the threshold that is right on most rows; None if there is none.

  Of equal ones "more than" comes before "at most", and the lower number first.
  """
  tried = [
    Threshold(more, int(number))
    for more in (True, False)
    for number in np.unique(train.numbers)[:-1]
  ]
  return max(
    tried,
    key=lambda threshold: _accuracy(threshold.predict(train.numbers), train),
    default=None,
  )


def learn(train: Counted) -> Rule:
  """Returns the rule of a training split; ties are of the majority class."""
  majority = bool(2 * train.has_relation.sum() > len(train.has_relation))
  differs = train.has_relation != majority
  others = tuple(
    int(number)
    for number in np.unique(train.numbers)
    if differs[train.numbers == number].mean() > 0.5
  )
  return Rule(majority, others)


def finding(threshold: Threshold, split: Counted) -> dict[str, float]:
  """Returns precision, recall and F1 of finding a relation."""
  found = threshold.predict(split.numbers)
  right = np.sum(found & split.has_relation, dtype=int)
  return f1_score(right, found.sum(), split.has_relation.sum())


def _accuracy(predicted: np.ndarray | bool, split: Counted) -> float:
  right = np.sum(split.has_relation == predicted)
  return ratio(right, len(split.has_relation))


def judge(
  splits: Mapping[str, Counted], rule: Rule, tolerance: float
) -> dict[str, Any]:
  """Weighs a rule against the majority class on rows that it has not seen.

  Returns:
    `rows`; `errors`: rows that the majority class gets wrong; `corrected`:
    those of them that the rule gets right; `spoilt`: the reverse; `share`: of
    the errors that it corrects, net; `p_value` of McNemar's test; `verdict`.
  """
  has_relation = np.concatenate([splits[s].has_relation for s in HELD_OUT])
  numbers = np.concatenate([splits[s].numbers for s in HELD_OUT])
  deviates = rule.predict(numbers) != rule.majority
  wrong = has_relation != rule.majority
  errors = int(np.sum(wrong))
  corrected, spoilt = int(sum(deviates & wrong)), int(sum(deviates & ~wrong))
  found = {
    "rows": len(numbers),
    "errors": errors,
    "corrected": corrected,
    "spoilt": spoilt,
    "share": ratio(corrected - spoilt, errors),
    "p_value": _mcnemar(corrected, spoilt),
  }
  every = np.concatenate([split.numbers for split in splits.values()])
  if len(np.unique(every)) == 1:
    return found | {"verdict": verdicts.NO_LEAK}
  return found | {"verdict": _verdict(found, tolerance)}


def _mcnemar(corrected: int, spoilt: int) -> float:
  """Returns the chance of so many corrections if either were as likely."""
  if not corrected + spoilt:
    return 1.0
  tested = scipy.stats.binomtest(
    corrected, corrected + spoilt, alternative="greater"
  )
  return float(tested.pvalue)


def _verdict(found: Mapping[str, Any], tolerance: float) -> str:
  if not found["errors"]:
    return verdicts.TOO_FEW
  if found["share"] > tolerance and found["p_value"] < verdicts.ALPHA:
    return verdicts.LEAK
  tested = scipy.stats.binomtest(found["corrected"], found["errors"])
  high = tested.proportion_ci(1 - 2 * verdicts.ALPHA).high
  surely = high - found["spoilt"] / found["errors"] <= tolerance
  return verdicts.NO_LEAK if surely else verdicts.TOO_FEW
