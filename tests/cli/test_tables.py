"""Contents of tables, and the number format of the paper."""

import numpy as np
import pytest

from ifa_jax.cli import tables
from ifa_jax.statistics import metrics

RELATIONS = ["None", "/per/org/member_of", "/per/per/couple", "/per/loc/visit"]
GOLD = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 2, 2, 2, 0])


@pytest.mark.parametrize(
  ("fraction", "text"),
  [
    (0.81671, "81.67"),
    (517 / 626, "82.59"),
    (0.0, "0.00"),
    (1.0, "100.00"),
    (2 / 3, "66.67"),
  ],
)
def test_a_percentage_has_two_digits(fraction, text):
  assert tables.percent(fraction) == text


def cells(line):
  return [cell.strip() for cell in line.strip()[1:-1].split("│")]


@pytest.fixture(name="shown")
def lines_of_printed_scores(capsys):
  """Returns the cells of every line, and the lines above the table."""
  scores = metrics.score(GOLD, PREDICTED, RELATIONS)
  tables.print_scores({"protocol": "none", **scores}, title="Test scores of x")
  lines = capsys.readouterr().out.splitlines()
  rows = [cells(line) for line in lines if line.startswith("│")]
  title = [
    line.strip() for line in lines if not line.startswith(tuple("│┏┃┡├└"))
  ]
  return rows, title


def test_scores_are_printed_under_their_protocol(shown):
  assert shown[1] == ["Test scores of x", "protocol: none, 9 rows"]


def test_relations_that_occur_are_listed_the_most_frequent_first(shown):
  rows = shown[0][:3]
  assert rows == [
    ["/per/per/couple", "75.00", "75.00", "75.00", "4", "4"],
    ["None", "66.67", "66.67", "66.67", "3", "3"],
    ["/per/org/member_of", "50.00", "50.00", "50.00", "2", "2"],
  ]


def test_totals_exclude_none(shown):
  # 5 of 6 gold and 6 predicted relations coincide; 4 of them are equal.
  assert shown[0][3:] == [
    ["micro, without None", "66.67", "66.67", "66.67", "", ""],
    ["macro F1", "", "", "62.50", "", ""],
    ["finding a relation", "83.33", "83.33", "83.33", "", ""],
    ["naming it, accuracy", "80.00", "", "", "5", ""],
    ["all rows, accuracy", "66.67", "", "", "9", ""],
  ]


def test_table_without_correct_rows_is_printed(capsys):
  gold, predicted = np.array([1, 2]), np.array([0, 0])
  scores = metrics.score(gold, predicted, RELATIONS)
  tables.print_scores({"protocol": "clean", **scores}, title="x")
  shown = capsys.readouterr().out
  assert "nan" not in shown
  assert ["None", "0.00", "0.00", "0.00", "0", "2"] in map(
    cells, shown.splitlines()
  )


def test_long_names_of_relations_are_not_cut(capsys):
  name = "/person/organization/was_once_a_member_of_the_board_of"
  scores = metrics.score(np.array([1]), np.array([1]), ["None", name])
  tables.print_scores({"protocol": "clean", **scores}, title="x")
  assert name in capsys.readouterr().out


def test_a_markdown_table_aligns_numbers_and_keeps_the_title_above():
  rows = [["standard", "92.38"], ["blank", "9.00 ± 0.1"]]
  found = tables.markdown_table("Of x\nprotocol: none", ("by", "F1"), rows)
  assert found == (
    "Of x\nprotocol: none\n\n"
    "| by | F1 |\n| --- | --: |\n| standard | 92.38 |\n| blank | 9.00 ± 0.1 |\n"
  )


# Markup or emoji for rich, or the end of a cell in Markdown.
ODD_NAMES = ["[/per]m", "[none]", "per:couple:of", "[link=x]y", "a|b", "\\[z]"]


@pytest.mark.silent_input
@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_printed_as_it_is(capsys, name):
  scores = metrics.score(np.array([1]), np.array([1]), ["None", name])
  tables.print_scores({"protocol": name, **scores}, title=f"of {name}")
  lines = capsys.readouterr().out.splitlines()
  assert [line.strip() for line in lines[:2]] == [
    f"of {name}",
    f"protocol: {name}, 1 rows",
  ]
  assert cells(lines[5])[0] == name


@pytest.mark.silent_input
def test_a_heading_is_printed_as_it_is(capsys):
  heads = ["[none]", ":couple:"]
  tables.print_table(tables.make_table("[/t]", heads, [["a", "b"]]))
  shown = capsys.readouterr().out
  assert "[/t]" in shown
  assert all(head in shown for head in heads)


@pytest.mark.silent_input
def test_a_bar_in_a_name_ends_no_cell_of_markdown():
  found = tables.markdown_table("", ("a|b", "F1"), [["c|d", "1"]])
  assert "| a\\|b | F1 |" in found
  assert "| c\\|d | 1 |" in found
