"""Whether the number of something tells that a row has a relation, or which.

Two questions, each by `information`, with val and test together as what is held
out: finding (relation or None, all rows) and naming (which relation, the rows
that have one). The worse of their verdicts is that of the number; one that all
rows have alike tells nothing.
"""

import collections
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.analyze.leak import information, verdicts
from ifa_jax.analyze.leak.information import Labelled
from ifa_jax.statistics.metrics import NONE, f1_score, ratio

HELD_OUT = ("val", "test")
QUESTIONS = ("finding", "naming")


class Counted(NamedTuple):
  """The rows of a split.

  Attributes:
    numbers: int[n], how many of something each row has.
    relations: int[n], their ids; 0 is None.
    posts: int[n], rows with one number share their picture.
  """

  numbers: np.ndarray
  relations: np.ndarray
  posts: np.ndarray

  @property
  def has_relation(self) -> np.ndarray:
    """bool[n]."""
    return self.relations != NONE


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


def measure(
  splits: Mapping[str, Counted],
  tolerance: float,
  level: float = verdicts.ALPHA,
) -> dict[str, Any]:
  """Returns what a number tells, plain values ready for JSON.

  Args:
    splits: train, val and test.
    tolerance: share of what labels leave open that it may tell, in [0, 1].
    level: how often each test cries leak where there is none.

  Returns:
    `table`: split -> {"none", "relation"} -> number -> rows that have it.
    `threshold`: the one that is right on most training rows, as text, or None
    if all training rows have one number; `finding`: split -> its precision,
    recall and F1 of finding a relation. `accuracy`: split -> that of
    predicting, for each number, the most frequent class of its training rows
    (`rule`), and of the majority class (`majority`). `held_out`: see `judge`.
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
    "held_out": judge(splits, tolerance, level),
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
  splits: Mapping[str, Counted], tolerance: float, level: float
) -> dict[str, Any]:
  """Weighs what a number tells on rows that it was not learnt on.

  Returns:
    `finding` and `naming`, see `information.judge`; naming is None where there
    are fewer than two relations. `verdict`, the worse of both.
  """
  found: dict[str, Any] = {
    "finding": _judge(splits, _finding, 2, tolerance, level)
  }
  named = np.concatenate([_naming(split).labels for split in splits.values()])
  found["naming"] = None
  if len(np.unique(named)) > 1:
    number = int(named.max()) + 1
    found["naming"] = _judge(splits, _naming, number, tolerance, level)
  every = np.concatenate([split.numbers for split in splits.values()])
  if len(np.unique(every)) == 1:
    return found | {"verdict": verdicts.NO_LEAK}
  said = [one["verdict"] for one in found.values() if one]
  return found | {"verdict": verdicts.worst(said)}


def _judge(splits, question, num_labels, tolerance, level) -> dict[str, Any]:
  held_out = [question(splits[name]) for name in HELD_OUT]
  return information.judge(
    question(splits["train"]), held_out, num_labels, tolerance, level
  )


def _finding(split: Counted) -> Labelled:
  labels = split.has_relation.astype(int)
  return Labelled(split.numbers, labels, split.posts)


def _naming(split: Counted) -> Labelled:
  """Returns the rows that have a relation; labels are ids less 1."""
  rows = split.has_relation
  return Labelled(
    split.numbers[rows], split.relations[rows] - 1, split.posts[rows]
  )
