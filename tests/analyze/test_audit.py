"""The audit of printed scores, against a search of everything."""

import functools
import itertools
import json
from fractions import Fraction

import command_lines
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


def sums(counts):
  """Yields all numbers of rows that add up."""
  num_none = counts.num_rows - counts.num_relations
  for right, none_right in itertools.product(
    range(counts.num_relations + 1), range(num_none + 1)
  ):
    for found in range(right, counts.num_relations + 1):
      yield Solution(right, num_none - none_right + found, none_right)


def brute_force(figures, counts):
  half = Fraction(1, 200)
  printed = [v if v is None else Fraction(str(v)) for v in figures]
  return sorted(
    solution
    for solution, exact in scored(counts)
    if all(
      value is None or abs(value - wanted) <= half
      for value, wanted in zip(printed, exact, strict=True)
    )
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
    for figures in (Figures(*row), Figures(*row[:3])):
      found = whole_numbers.audit(figures, counts)
      assert found.solutions == brute_force(figures, counts)
      assert found.num_solutions == len(found.solutions)
      assert solution in found.solutions
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


@pytest.fixture(scope="module", name="audits")
def audits_of_the_paper():
  return {(row.name, split): a for row, split, a in audit.audit_published()}


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


BEST = "--accuracy=92.38 --precision=82.59 --recall=80.78"
CASES = {
  "all": "",
  "all json": "--json",
  "one": f"{BEST} --f1=81.67",
  "one json": f"{BEST} --json",
  "none": f"{BEST} --num_rows=1624 --num_relations=624",
  "many": "--accuracy=75.34 --precision=63.28 --recall=65.16"
  " --num_rows=100000 --num_relations=40000",
  "part": "--accuracy=92.38",
  "f1 alone": "--f1=81.67",
  "decimals": f"{BEST} --f1=81.671",
  "counts": f"{BEST} --num_rows=100",
}


@pytest.fixture(scope="module", name="outcomes")
def outcomes_of_all_cases():
  command = ["ifa_jax/analyze/__main__.py", "audit"]
  return command_lines.run_all(
    {name: command + line.split() for name, line in CASES.items()}
  )


def test_the_command_prints_both_tables(outcomes):
  status, out, err = outcomes["all"]
  assert (status, err) == (0, "")
  assert "Table 1" in out
  assert "425 / 608" in out
  assert "half a unit of the last" in out
  cells = [
    [cell.strip() for cell in line.split("│")]
    for line in out.splitlines()
    if "w/ Visual Objects" in line
  ]
  figures = ["92.38", "82.59", "80.78", "81.67"]
  assert cells[0][3:9] == [*figures, "517 / 626", "974"]


def test_the_command_prints_only_json(outcomes):
  status, out, err = outcomes["all json"]
  assert (status, err) == (0, "")
  rows = json.loads(out)["rows"]
  assert json.loads(out)["protocol"] == "released"
  assert len(rows) == len(published.ROWS) + 3
  (best,) = [r for r in rows if r["name"] == "w/ Visual Objects"]
  solution = {"right": 517, "predicted": 626, "none_right": 974}
  assert best["solutions"] == [solution]
  assert best["table"] == "Table 2"
  one = json.loads(outcomes["one json"].out)
  assert (one["solutions"], one["f1"]) == ([solution], None)


def test_the_command_lists_solutions_if_there_are_any(outcomes):
  assert "right 517, predicted 626, None right 974 of 974" in (
    outcomes["one"].out
  )
  none = outcomes["none"]
  assert (none.status, none.err) == (0, "")
  assert "right 5" not in none.out
  many = outcomes["many"].out.splitlines()
  listed = sum(line.startswith("right ") for line in many)
  assert listed == whole_numbers.MAX_LISTED
  assert many[-2].startswith("... and ")


@pytest.mark.parametrize(
  ("case", "named"),
  [
    ("part", "--accuracy, --precision and --recall, or none"),
    ("f1 alone", "--accuracy, --precision and --recall, or none"),
    ("decimals", "two decimals"),
    ("counts", "no more rows with a relation than rows"),
  ],
)
def test_wrong_usage_exits_2_with_one_line(outcomes, case, named):
  status, out, err = outcomes[case]
  assert (status, out) == (2, "")
  (line,) = err.splitlines()
  assert named in line
