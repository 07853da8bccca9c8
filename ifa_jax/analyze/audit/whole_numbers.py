"""Numbers of rows that round to a printed row of scores.

Rounded to two decimals, 92.38 percent means 92.375 to 92.385, both ends
included: of 1614 rows, one number at most. All arithmetic is of integers, and
percentages are in hundredths.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ifa_jax.analyze.published import ClassCounts, Figures

# With many thousand rows there are many solutions; all are counted.
MAX_LISTED = 100

_OTHER_F1 = "the counts of precision and recall give another"


class Solution(NamedTuple):
  """Numbers of rows that round to the figures."""

  right: int  # Rows with a relation that is predicted.
  predicted: int  # Rows for which a relation is predicted.
  none_right: int  # Rows without a relation for which None is predicted.


class Audit(NamedTuple):
  """Numbers of rows that give a row of scores on a split."""

  counts: ClassCounts
  num_solutions: int
  solutions: list[Solution]  # The first `MAX_LISTED` of them.
  rights: list[int]  # Numbers of right rows that give the recall.
  # Figure -> reason; empty if there is a solution. "together" is there only if
  # each figure can be reached by itself.
  unreachable: dict[str, str]


def audit(figures: Figures, counts: ClassCounts) -> Audit:
  """Searches the numbers of rows of a split that give printed figures.

  Raises:
    ValueError: if a figure is no percentage of two decimals, or the split has
      no relation or more relations than rows.
  """
  num_rows, num_relations = counts
  if not 1 <= num_relations <= num_rows:
    raise ValueError(
      f"expected 1 to {num_rows} rows with a relation of {num_rows}, got"
      f" {num_relations}"
    )
  precision, recall = map(_hundredths, figures[1:3])
  accuracy, f1 = (
    None if percent is None else _hundredths(percent)
    for percent in (figures.accuracy, figures.f1)
  )
  num_none, rows = num_rows - num_relations, np.arange(num_rows + 1)
  correct = rows[_rounds(rows, num_rows, accuracy)].tolist()
  parts = rows[: num_relations + 1]
  rights = parts[_rounds(parts, num_relations, recall)].tolist()
  by_precision, by_f1, solutions, num_solutions = 0, 0, [], 0
  for right in rights:
    predicted = rows[right:]
    predicted = predicted[_rounds(right, predicted, precision)]
    by_precision += len(predicted)
    # F1 is 2 right / (predicted + relations).
    predicted = predicted[_rounds(2 * right, predicted + num_relations, f1)]
    by_f1 += len(predicted)
    for number in predicted.tolist() if correct else ():
      # Right rows of both classes give the accuracy. Predictions are of None
      # rows that are not right, and of `right` to all rows with a relation.
      missed = num_none - number
      low = max(0, correct[0] - right, missed + right)
      high = min(num_none, correct[-1] - right, missed + num_relations)
      num_solutions += max(0, high + 1 - low)
      end = min(high + 1, low + MAX_LISTED - len(solutions))
      solutions += [Solution(right, number, n) for n in range(low, end)]
  # Without rows that give the recall, any number of them may be right.
  most = np.minimum(rows, num_relations)
  nearest = np.minimum((2 * precision * rows + 10_000) // 20_000, most)
  reached = by_precision if rights else _rounds(nearest, rows, precision).any()
  reasons = {
    "accuracy": not correct and _no_number(num_rows, figures.accuracy),
    "precision": not reached and _no_predictions(rights, figures.precision),
    "recall": not rights and _no_number(num_relations, figures.recall),
    "f1": _contradiction(precision, recall, f1)
    or (by_precision and not by_f1 and _OTHER_F1),
  }
  found = {name: reason for name, reason in reasons.items() if reason}
  if not found and not num_solutions:
    found["together"] = "no whole numbers give all the figures at once"
  return Audit(counts, num_solutions, solutions, rights, found)


def has_two_decimals(percent: float) -> bool:
  """Returns whether this is a percentage as the tables print it."""
  if not 0 <= percent <= 100:
    return False
  return abs(100 * percent - round(100 * percent)) < 1e-6


def _hundredths(percent: float) -> int:
  """Returns 92.38 as 9238."""
  if not has_two_decimals(percent):
    raise ValueError(
      f"expected percent from 0 to 100 with two decimals, got {percent}"
    )
  return round(100 * percent)


def _rounds(part, whole, percent: int | None) -> np.ndarray:
  """Returns where int[n] parts of wholes round to a percentage; 0/0 is 0."""
  if percent is None:
    return np.ones(np.broadcast(part, whole).shape, bool)
  whole = np.maximum(whole, 1)
  # |part / whole - percent| is at most half a hundredth of a percent.
  return abs(20_000 * part - 2 * percent * whole) <= whole


def _no_number(num_rows: int, percent: float | None) -> str:
  return f"no number of {num_rows} rows is {percent:.2f} %"


def _no_predictions(rights: Sequence[int], percent: float) -> str:
  known = "there is"
  if rights:
    first, last = rights[0], rights[-1]
    span = str(first) if first == last else f"{first} to {last}"
    known = f"{span} right rows are"
  return f"{known} {percent:.2f} % of no number of predictions"


def _contradiction(precision: int, recall: int, f1: int | None) -> str:
  """Compares F1 with the F1 of precision and recall as printed."""
  if f1 is None:
    return ""
  half = Fraction(1, 2)
  low = _mean(max(precision - half, 0), max(recall - half, 0)) - half
  high = _mean(precision + half, recall + half) + half
  mean = float(_mean(precision, recall)) / 100
  return "" if low <= f1 <= high else f"precision and recall give {mean:.2f}"


def _mean(precision: Fraction | int, recall: Fraction | int) -> Fraction:
  """Returns the harmonic mean, 0 for 0/0."""
  total = Fraction(precision + recall)
  return 2 * precision * recall / total if total else total
