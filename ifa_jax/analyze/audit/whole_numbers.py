"""The whole numbers of rows behind a printed row of scores.

Rounded to two decimals, 92.38 percent stands for 92.375 to 92.385, half a unit
of the last decimal either way and both ends included. Of 1614 rows that leaves
one number, or none. All arithmetic is of integers: percentages count in
hundredths.

Of N rows, R have a relation; a system gets `right` of these right, predicts a
relation for `predicted` rows and None for the others, rightly for `none_right`.
Then predicted = (N - R - none_right) + found, where the rows found to have some
relation are at least `right` and at most R.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from ifa_jax.analyze.published import ClassCounts, Figures

# Half of a hundredth of a percent is one part in this many.
_HALVES = 20_000


class Solution(NamedTuple):
  """Numbers of rows that round to the figures.

  Attributes:
    right: rows whose relation is predicted, None left out.
    predicted: rows for which a relation is predicted.
    none_right: rows without a relation for which None is predicted.
  """

  right: int
  predicted: int
  none_right: int


def solutions(figures: Figures, counts: ClassCounts) -> Iterator[Solution]:
  """Yields every solution, in order; takes time for those that there are."""
  for right, predicted, none_right in _blocks(figures, counts):
    for number in none_right:
      yield Solution(right, predicted, number)


def num_solutions(figures: Figures, counts: ClassCounts) -> int:
  """Counts the solutions without listing them."""
  return sum(len(none_right) for *_, none_right in _blocks(figures, counts))


def rights(figures: Figures, counts: ClassCounts) -> range:
  """Returns the numbers of right rows that give the recall."""
  return _parts(counts.num_relations, _hundredths(figures.recall))


def unreachable(figures: Figures, counts: ClassCounts) -> dict[str, str]:
  """Tells which figures no whole numbers reach.

  Returns:
    Figure -> why. A figure that fails by itself hides what it would do with
    others: "together" is there only if each can be reached. Empty if there is a
    solution.
  """
  alone = {
    "accuracy": _accuracy_fails(figures, counts),
    "precision": _precision_fails(figures, counts),
    "recall": _recall_fails(figures, counts),
    "f1": _f1_fails(figures, counts),
  }
  found = {name: why for name, why in alone.items() if why}
  if not found and not num_solutions(figures, counts):
    found["together"] = "no whole numbers give all the figures at once"
  return found


def _blocks(
  figures: Figures, counts: ClassCounts
) -> Iterator[tuple[int, int, range]]:
  """Yields right, predicted, and what none_right may then be."""
  num_none = counts.num_rows - counts.num_relations
  correct = _parts(counts.num_rows, _hundredths(figures.accuracy))
  for right in rights(figures, counts):
    # Right rows of both classes give the accuracy.
    by_accuracy = _shifted(correct, -right)
    for predicted in _predicted(right, figures, counts):
      # What is predicted and no None row was found: `right` to R rows.
      missed = num_none - predicted
      by_class = range(missed + right, missed + counts.num_relations + 1)
      none_right = _common(by_accuracy, by_class, range(num_none + 1))
      yield right, predicted, none_right


def _predicted(right: int, figures: Figures, counts: ClassCounts) -> range:
  """Returns the numbers of predictions that give precision and F1."""
  found = _by_precision(right, figures, counts)
  if figures.f1 is None:
    return found
  # F1 is 2 right / (predicted + R).
  most = counts.num_rows + counts.num_relations
  both = _wholes(2 * right, _hundredths(figures.f1), most)
  return _common(found, _shifted(both, -counts.num_relations))


def _by_precision(right: int, figures: Figures, counts: ClassCounts) -> range:
  """Returns the numbers of predictions that give the precision."""
  found = _wholes(right, _hundredths(figures.precision), counts.num_rows)
  return _common(found, range(right, counts.num_rows + 1))


def _accuracy_fails(figures: Figures, counts: ClassCounts) -> str:
  if _parts(counts.num_rows, _hundredths(figures.accuracy)):
    return ""
  return f"no number of {counts.num_rows} rows is {figures.accuracy:.2f} %"


def _recall_fails(figures: Figures, counts: ClassCounts) -> str:
  if rights(figures, counts):
    return ""
  return f"no number of {counts.num_relations} rows is {figures.recall:.2f} %"


def _precision_fails(figures: Figures, counts: ClassCounts) -> str:
  """Asks with what recall leaves, or with any number if it leaves none."""
  by_recall = rights(figures, counts)
  tried = by_recall or range(counts.num_relations + 1)
  if any(_by_precision(right, figures, counts) for right in tried):
    return ""
  known = f"{_span(by_recall)} right rows are" if by_recall else "there is"
  return f"{known} {figures.precision:.2f} % of no number of predictions"


def _f1_fails(figures: Figures, counts: ClassCounts) -> str:
  """Compares F1 with precision and recall as printed, then with the counts."""
  if figures.f1 is None:
    return ""
  pair, half = (figures.precision, figures.recall), Fraction(1, 2)
  pair = [Fraction(_hundredths(percent)) for percent in pair]
  low = _mean(*(max(percent - half, Fraction(0)) for percent in pair)) - half
  high = _mean(*(percent + half for percent in pair)) + half
  if not low <= _hundredths(figures.f1) <= high:
    return f"precision and recall give {float(_mean(*pair)) / 100:.2f}"
  by_recall = rights(figures, counts)
  by_precision = any(_by_precision(r, figures, counts) for r in by_recall)
  if by_precision and not any(
    _predicted(right, figures, counts) for right in by_recall
  ):
    return "the counts of precision and recall give another"
  return ""


def _mean(precision: Fraction, recall: Fraction) -> Fraction:
  """Returns the harmonic mean, 0 for 0/0."""
  total = precision + recall
  return 2 * precision * recall / total if total else Fraction(0)


def _parts(whole: int, percent: int) -> range:
  """Returns every part of a whole >= 1 that rounds to hundredths of percent."""
  low = _ceil((2 * percent - 1) * whole, _HALVES)
  high = (2 * percent + 1) * whole // _HALVES
  return range(max(low, 0), min(high, whole) + 1)


def _wholes(part: int, percent: int, most: int) -> range:
  """Returns every whole up to `most` of which a part rounds so; 0/0 is 0."""
  if not part:
    return range(most + 1 if percent else 0, most + 1)
  low = _ceil(_HALVES * part, 2 * percent + 1)
  high = _HALVES * part // (2 * percent - 1) if percent else most
  return range(low, min(high, most) + 1)


def _ceil(number: int, divisor: int) -> int:
  return -(-number // divisor)


def _shifted(numbers: range, by: int) -> range:
  return range(numbers.start + by, numbers.stop + by)


def _common(*ranges: range) -> range:
  return range(max(r.start for r in ranges), min(r.stop for r in ranges))


def has_two_decimals(percent: float) -> bool:
  """Tells whether this is a percentage as the tables print it."""
  if not 0 <= percent <= 100:
    return False
  return abs(100 * percent - round(100 * percent)) < 1e-6


def _hundredths(percent: float) -> int:
  """Returns 92.38 as 9238.

  Raises:
    ValueError: if it has more decimals or is no percentage.
  """
  if not has_two_decimals(percent):
    raise ValueError(
      f"want percent from 0 to 100 with two decimals, found {percent}"
    )
  return round(100 * percent)


def _span(numbers: range) -> str:
  """Returns "426" or "425 to 427"."""
  first, last = numbers[0], numbers[-1]
  return str(first) if first == last else f"{first} to {last}"
