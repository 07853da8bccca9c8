"""Tables of scores for the terminal and Markdown."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def percent(fraction: float, sign: str = "-") -> str:
  """Returns 0.81671 as "81.67", or "+81.67"; a rounded 0 has no minus."""
  return f"{round(100 * fraction, 2) + 0.0:{sign}.2f}"


def print_scores(scores: Mapping[str, Any], title: str) -> None:
  """Prints a split's scores: the protocol, a line per relation, and totals.

  Args:
    scores: see `training.evaluation.score`.
    title: above the table.
  """
  relations = sorted(
    scores["per_relation"].items(), key=lambda item: -item[1]["support"]
  )
  table = make_table(
    f"{title}\nprotocol: {scores['protocol']}, {scores['n']} rows",
    ("relation", "precision", "recall", "F1", "support", "predicted"),
    [
      [name, *_prf(x), str(x["support"]), str(x["predicted"])]
      for name, x in relations
      if x["support"] or x["predicted"]
    ],
  )
  table.columns[0].no_wrap = True
  table.add_section()
  table.add_row("micro, without None", *_prf(scores), "", "")
  table.add_row("macro F1", "", "", percent(scores["macro_f1"]), "", "")
  table.add_row("finding a relation", *_prf(scores["finding"]), "", "")
  for name, part in (("naming it", scores["naming"]), ("all rows", scores)):
    accuracy = percent(part["accuracy"])
    table.add_row(f"{name}, accuracy", accuracy, "", "", str(part["n"]), "")
  # Some datasets can be guessed without text and picture.
  for name, guessed in scores.get("counts_only", {}).items():
    table.add_section()
    table.add_row(f"{name}, micro, without None", *_prf(guessed), "", "")
    accuracy = percent(guessed["accuracy"])
    table.add_row(f"{name}, accuracy", accuracy, "", "", "", "")
  print_table(table)


def _prf(scores: Mapping[str, float]) -> list[str]:
  return [percent(scores[key]) for key in ("precision", "recall", "f1")]


def make_table(
  title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]
) -> Table:
  """Returns a table whose first column is text and whose others are numbers."""
  table = Table(title=title, title_justify="left")
  for i, column in enumerate(columns):
    table.add_column(column, justify="right" if i else "left")
  for row in rows:
    table.add_row(*row)
  return table


def markdown_table(
  title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]
) -> str:
  """Returns the same table as Markdown."""
  rule = ["---", *["--:"] * (len(columns) - 1)]
  lines = [
    # An unescaped bar ends the cell.
    "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    for cells in (columns, rule, *rows)
  ]
  return "\n".join([*title.splitlines(), "", *lines, ""])


def print_table(table: Table) -> None:
  """Prints a table, 120 columns wide if the output is not a terminal."""
  # Names are text: "[none]" is not a style, nor ":couple:" an emoji.
  plain = functools.partial(Console, markup=False, emoji=False, highlight=False)
  console = plain()
  if not console.is_terminal:
    console = plain(width=120)
  console.print(table)
