"""Information in the number of something about a row's relation.

Two questions: finding (relation or None, all rows) and naming (which relation,
the rows that have one). Both are tested twice: learned on train and tested on
val and test together, and within each split by cross-validation, which finds
leaks that train does not show.
"""

import collections
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ifa_jax.analyze.leak import information
from ifa_jax.analyze.leak.information import Sample
from ifa_jax.data import schema
from ifa_jax.statistics.metrics import NONE, f1_score, ratio

HELD_OUT = ("val", "test")
QUESTIONS = ("finding", "naming")
# Tests of one number: both questions, held out and within each split.
NUM_TESTS = len(QUESTIONS) * (1 + len(schema.SPLITS))


def measure(
  splits: Mapping[str, Sample],
  tolerance: float,
  level: float = information.ALPHA,
) -> dict[str, Any]:
  """Measures the information in a number; returns plain values ready for JSON.

  The splits are train, val and test, and their labels relation ids; `level` is
  the false positive rate of each test.

  Returns:
    `table`: split -> {"none", "relation"} -> number -> rows. `threshold`: the
    best one on train, as text, or None if all rows of train have one number;
    `finding`: split -> its precision, recall and F1. `accuracy`: split ->
    accuracy of finding by the majority class of each number on train (`rule`),
    and by the majority class (`majority`). `held_out`: question ->
    `information.judge`, or None for naming with fewer than two relations;
    `verdict`, the worst of both. `within`: split -> question -> the same.
    `verdict`: a leak if any test finds one, else that of `held_out`.
  """
  threshold = best_threshold(splits["train"])
  majority, others = learn(splits["train"])
  found = {"table": {}, "threshold": None, "finding": {}, "accuracy": {}}
  more, least = threshold or (True, np.inf)
  if threshold:
    found["threshold"] = f"{'more than' if more else 'at most'} {least:.10g}"
  for name, split in splits.items():
    numbers, gold = split.numbers, split.labels != NONE
    found["table"][name] = {
      kind: dict(sorted(collections.Counter(numbers[rows].tolist()).items()))
      for kind, rows in (("none", ~gold), ("relation", gold))
    }
    if threshold:
      told = (numbers > least) == more
      counts = (np.sum(told & gold), told.sum(), gold.sum())
      found["finding"][name] = f1_score(*counts)
    told = np.isin(numbers, others) != majority
    found["accuracy"][name] = {
      "rule": ratio(np.sum(told == gold), len(gold)),
      "majority": ratio(np.sum(gold == majority), len(gold)),
    }
  return found | judge(splits, tolerance, level)


def best_threshold(train: Sample) -> tuple[bool, float] | None:
  """Returns (more, number), which is right on most rows of a sample.

  True: rows with more than `number` have a relation; False: rows with at most
  `number`. Of equal ones, "more than" and the lowest number are preferred. None
  if all rows have the same number.
  """
  gold = train.labels != NONE
  tried = [
    (more, number)
    for more in (True, False)
    for number in np.unique(train.numbers)[:-1].tolist()
  ]
  return max(
    tried,
    key=lambda pair: np.sum(((train.numbers > pair[1]) == pair[0]) == gold),
    default=None,
  )


def learn(train: Sample) -> tuple[bool, list[float]]:
  """Returns the majority class of train, and the numbers with the other one.

  True is a relation. Ties, and numbers that train lacks, get the majority
  class.
  """
  gold = train.labels != NONE
  majority = bool(2 * gold.sum() > len(gold))
  differs = gold != majority
  others = [
    number
    for number in np.unique(train.numbers).tolist()
    if differs[train.numbers == number].mean() > 0.5
  ]
  return majority, others


def judge(
  splits: Mapping[str, Sample], tolerance: float, level: float
) -> dict[str, Any]:
  """Returns `held_out`, `within` and `verdict` of `measure`."""
  labels = [split.labels for split in splits.values()]
  relations = np.setdiff1d(np.concatenate(labels), [NONE])
  questions = {"finding": (_finding, 2)}
  if len(relations) > 1:
    questions["naming"] = (_naming, int(relations.max()))

  def ask(names, train):
    found: dict[str, Any] = dict.fromkeys(QUESTIONS)
    for name, (select, num_labels) in questions.items():
      sample = information.join(select(splits[split]) for split in names)
      learned = select(splits[train]) if train else None
      found[name] = information.judge(
        sample, learned, num_labels, tolerance, level
      )
    return found

  held_out = ask(HELD_OUT, "train")
  within = {name: ask([name], None) for name in splits}
  numbers = np.concatenate([split.numbers for split in splits.values()])
  verdicts = [test["verdict"] for test in held_out.values() if test]
  if len(np.unique(numbers)) == 1:
    verdicts = [information.NO_LEAK]
  held_out["verdict"] = information.worst(verdicts)
  inside = [x["verdict"] for t in within.values() for x in t.values() if x]
  # One split may have too few rows, so only a leak in it counts.
  leaks = information.LEAK in inside
  verdict = information.LEAK if leaks else held_out["verdict"]
  return {"held_out": held_out, "within": within, "verdict": verdict}


def tests_of(found: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
  """Yields (place, question, test) of a result of `measure`."""
  places = {"val, test": found["held_out"], **found["within"]}
  for place, tests in places.items():
    for question in QUESTIONS:
      if tests[question]:
        yield place, question, tests[question]


def _finding(split: Sample) -> Sample:
  return split._replace(labels=(split.labels != NONE).astype(int))


def _naming(split: Sample) -> Sample:
  """Returns the rows that have a relation; their labels are ids less 1."""
  rows = split.labels != NONE
  return Sample(split.numbers[rows], split.labels[rows] - 1, split.posts[rows])
