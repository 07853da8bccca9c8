"""The audit of printed scores, against a search of everything."""

import functools
import itertools
from fractions import Fraction

import numpy as np
import pytest

from ifa_jax.analyze import published
from ifa_jax.analyze.audit import command as audit
from ifa_jax.analyze.audit import whole_numbers
from ifa_jax.analyze.audit.whole_numbers import Solution
from ifa_jax.analyze.published import ClassCounts, Figures

pytestmark = pytest.mark.slow

# Some of these shares end in exactly half a hundredth of a percent.
COUNTS = [(7, 3), (12, 5), (9, 9), (10, 1), (16, 8), (32, 13)]


def share(part, whole):
  return Fraction(part, whole) if whole else Fraction(0)


def scores(solution, counts):
  """Returns exact accuracy, precision, recall and F1, in percent."""
  right, predicted, none_right = solution
  relations = counts.num_relations
  return [
    100 * value
    for value in (
      share(right + none_right, counts.num_rows),
      share(right, predicted),
      share(right, relations),
      share(2 * right, predicted + relations),
    )
  ]


@functools.cache
def scored(counts):
  """Returns (solution, its scores) for all that any figures can have."""
  return [(solution, scores(solution, counts)) for solution in sums(counts)]


def sums(counts, pairs=None):
  """Yields all numbers of rows that add up, of some (right, none right)."""
  relations = counts.num_relations
  num_none = counts.num_rows - relations
  if pairs is None:
    pairs = itertools.product(range(relations + 1), range(num_none + 1))
  for right, none_right in pairs:
    for found in range(right, relations + 1):
      yield Solution(right, num_none - none_right + found, none_right)


def rounds_to(exact, printed):
  if printed is None:
    return True
  return abs(exact - Fraction(str(printed))) <= Fraction(1, 200)


def brute_force(figures, counts):
  relations, num_rows = counts.num_relations, counts.num_rows
  pairs = [
    (right, none)
    for right in range(relations + 1)
    if rounds_to(100 * Fraction(right, relations), figures.recall)
    for none in range(num_rows - relations + 1)
    if rounds_to(100 * Fraction(right + none, num_rows), figures.accuracy)
  ]
  return sorted(
    solution
    for solution in sums(counts, pairs)
    if all(map(rounds_to, scores(solution, counts), figures))
  )


def rounded(exact, up):
  """Rounds to two decimals, halves up or down."""
  shift = Fraction(1, 2) if up else Fraction(499_999, 1_000_000)
  return (100 * exact + shift).__floor__() / 100


@pytest.mark.parametrize("counts", [ClassCounts(*pair) for pair in COUNTS])
def test_every_row_that_is_possible_is_explained_in_full(counts):
  possible = scored(counts)
  chosen = np.random.default_rng(0).permutation(len(possible))[:60]
  for i, up in itertools.product(chosen, (True, False)):
    solution, exact = possible[i]
    row = [rounded(value, up) for value in exact]
    for figures in (
      Figures(*row),
      Figures(*row[:3]),
      Figures(None, *row[1:]),
      Figures(None, *row[1:3]),
    ):
      found = whole_numbers.audit(figures, counts)
      wanted = brute_force(figures, counts)
      assert found.solutions == wanted[: whole_numbers.MAX_LISTED]
      assert found.num_solutions == len(wanted)
      assert solution in wanted
      assert not found.unreachable


@pytest.mark.parametrize("counts", [ClassCounts(*pair) for pair in COUNTS])
def test_a_row_has_a_solution_or_figures_that_are_not_reached(counts):
  """Rows that are nearly possible: one figure of another solution each."""
  rng = np.random.default_rng(1)
  possible = scored(counts)
  solved = 0
  for _ in range(150):
    drawn = (possible[i] for i in rng.integers(len(possible), size=4))
    row = [rounded(exact[j], True) for j, (_, exact) in enumerate(drawn)]
    found = whole_numbers.audit(Figures(*row), counts)
    assert found.solutions == brute_force(Figures(*row), counts)
    assert bool(found.solutions) != bool(found.unreachable)
    solved += bool(found.solutions)
  assert solved < 150


# Right, predicted, None right; None where no whole numbers give the row.
PAPER = {
  "PCNN": (280, 405, 904),
  "BERT": (385, 658, 763),
  "MTB": (417, 659, 799),
  "BERT+SG+Att.": None,
  "ViLBERT": None,
  "MEGA": (438, 679, 791),
  "Vanilla IFAformer": None,
  "w/o Text Attn.": (395, 590, 835),
  "w/ Visual Objects": (517, 626, 974),
  "MTB, standard": (417, 659, 799),
  "MTB, shuffle(train)": (417, 659, 799),
  "MTB, shuffle(test)": (417, 659, 799),
  "MEGA, standard": (438, 679, 791),
  "MEGA, shuffle(train)": (413, 632, 816),
  "MEGA, shuffle(test)": (426, 673, 791),
  "IFAformer, standard": (517, 626, 974),
  "IFAformer, shuffle(train)": (435, 715, 763),
  "IFAformer, shuffle(test)": (187, 627, 583),
}


@pytest.fixture(scope="module", name="every_audit")
def audits_of_all_published_rows():
  return audit.audit_published()


@pytest.fixture(scope="module", name="audits")
def audits_of_the_paper(every_audit):
  return {
    (row.name, split): found
    for row, split, found in every_audit
    if row.table != published.LATER
  }


def test_the_papers_rows_on_test(audits):
  on_test = {name: a for (name, split), a in audits.items() if split == "test"}
  assert {name: a.solutions for name, a in on_test.items()} == {
    name: [Solution(*numbers)] if numbers else []
    for name, numbers in PAPER.items()
  }


def test_rows_that_test_cannot_give_are_tried_on_val(audits):
  on_val = {name: a for (name, split), a in audits.items() if split == "val"}
  assert {name: a.solutions for name, a in on_val.items()} == {
    "BERT+SG+Att.": [],
    "ViLBERT": [],
    "Vanilla IFAformer": [Solution(425, 608, 1000)],
  }


def test_the_figures_that_test_cannot_give_are_named(audits):
  failing = {
    name: list(a.unreachable)
    for (name, split), a in audits.items()
    if split == "test" and a.unreachable
  }
  assert failing == {
    "BERT+SG+Att.": ["accuracy", "precision"],
    "ViLBERT": ["accuracy", "recall", "f1"],
    "Vanilla IFAformer": ["accuracy", "recall"],
  }
  vilbert = audits["ViLBERT", "test"].unreachable
  assert vilbert["f1"] == "precision and recall give 63.15"
  graph = audits["BERT+SG+Att.", "test"]
  assert list(graph.rights) == [426]
  assert "426 right rows are 60.97 %" in graph.unreachable["precision"]


def test_rows_of_later_systems_are_those_of_a_search_of_everything(every_audit):
  later = [x for x in every_audit if x[0].table == published.LATER]
  for row, split, found in later:
    counts = {"test": published.TEST, "val": published.VAL}[split]
    wanted = brute_force(row.figures, counts)
    assert found.num_solutions == len(wanted)
    assert found.solutions == wanted[: whole_numbers.MAX_LISTED]
  assert [(row.name, split, [*a.unreachable]) for row, split, a in later] == [
    ("MKGformer", "test", []),
    ("HVFormer", "test", ["recall"]),
    ("HVFormer", "val", ["recall"]),
    ("HVPNeT", "test", ["accuracy", "precision", "f1"]),
    ("HVPNeT", "val", ["accuracy", "recall", "f1"]),
  ]
  mkgformer, hvpnet = later[0][2], later[3][2]
  # Its accuracy is not printed, and so any number of None rows may be right.
  assert {x[:2] for x in mkgformer.solutions} == {(520, 629)}
  assert (mkgformer.solutions[0].none_right, mkgformer.num_solutions) == (
    865,
    110,
  )
  assert hvpnet.unreachable["f1"] == "precision and recall give 82.19"
  assert list(hvpnet.rights) == [517]


def test_printed_f1_of_hvpnet_fails_without_the_accuracy():
  (row,) = [row for row in published.ROWS if row.name == "HVPNeT"]
  figures = row.figures._replace(accuracy=None)
  found = whole_numbers.audit(figures, published.TEST)
  assert [*found.unreachable] == ["precision", "f1"]
  assert not brute_force(figures, published.TEST)


@pytest.mark.parametrize(
  ("num_rows", "accuracy", "finding"),
  [(10, 50.0, "consistent"), (11, 54.55, "only with all 1 None rows right")],
)
def test_none_rows_are_named_only_if_there_are_any(num_rows, accuracy, finding):
  # 5 right of 10 predicted, of 10.
  figures = Figures(accuracy, 50.0, 50.0)
  found = whole_numbers.audit(figures, ClassCounts(num_rows, 10))
  assert audit._finding(figures, found) == finding


def test_figures_that_only_fail_together():
  # Each fits some classification of ten rows: 5 right in all, 1 of 1, 1 of 5.
  counts = ClassCounts(10, 5)
  apart = whole_numbers.audit(Figures(50.0, 100.0, 20.0), counts)
  assert list(apart.unreachable) == ["together"]
  # One more None row right, and they do.
  assert whole_numbers.audit(Figures(60.0, 100.0, 20.0), counts).solutions == [
    Solution(1, 1, 5)
  ]


def test_f1_may_contradict_the_counts_but_not_the_figures():
  # 1 right of 3 predicted, of 6: 22.22; 33.33 and 16.67 would allow 22.23.
  row = Figures(50.0, 33.33, 16.67, 22.23)
  found = whole_numbers.audit(row, ClassCounts(10, 6))
  assert found.unreachable["f1"].startswith("the counts")
  row = row._replace(f1=22.22)
  assert "f1" not in whole_numbers.audit(row, ClassCounts(10, 6)).unreachable


def test_two_million_rows_are_audited():
  counts = ClassCounts(2_000_000, 800_000)
  found = whole_numbers.audit(published.ROWS[0].figures, counts)
  assert len(found.solutions) == whole_numbers.MAX_LISTED < found.num_solutions
  for solution in found.solutions:
    exact = scores(solution, counts)
    for value, printed in zip(exact, published.ROWS[0].figures, strict=True):
      assert abs(value - Fraction(str(printed))) <= Fraction(1, 200)


def test_solutions_that_are_not_listed_are_counted(monkeypatch):
  monkeypatch.setattr(whole_numbers, "MAX_LISTED", 2)
  figures, counts = Figures(31.25, 0.0, 0.0), ClassCounts(32, 13)
  wanted = brute_force(figures, counts)
  found = whole_numbers.audit(figures, counts)
  assert found.num_solutions == len(wanted) > 2
  assert found.solutions == wanted[:2]


@pytest.mark.parametrize("percent", [92.381, -1.0, 100.01, float("nan")])
def test_figures_are_percentages_of_two_decimals(percent):
  with pytest.raises(ValueError, match=f"two decimals, got {percent}"):
    whole_numbers.audit(Figures(92.38, percent, 80.78), published.TEST)


@pytest.mark.parametrize("pair", [(10, 11), (10, 0)])
def test_class_counts_must_be_possible(pair):
  with pytest.raises(ValueError, match=f"expected 1 to 10 .* got {pair[1]}"):
    whole_numbers.audit(Figures(92.38, 82.59, 80.78), ClassCounts(*pair))
