r"""Which numbers of rows stand behind a printed row of scores, if any.

    python -m ifa_jax.analyze audit
    python -m ifa_jax.analyze audit --accuracy=92.38 --precision=82.59 \
        --recall=80.78 --f1=81.67 --num_rows=1614 --num_relations=640

Lists the whole numbers (right, predicted, None rows right) that round to the
row, or says which figures none reach. Without a row: every row of the paper's
tables on MNRE's test split, and on its val split those that test cannot give.
A figure printed as 92.38 stands for 92.375 to 92.385, both ends included.
"""

import itertools
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from absl import flags

from ifa_jax.analyze import published
from ifa_jax.analyze.audit import whole_numbers
from ifa_jax.analyze.audit.whole_numbers import Solution
from ifa_jax.analyze.published import ClassCounts, Figures
from ifa_jax.cli import tables

# With many thousand rows there are many solutions; all are counted.
MAX_LISTED = 100

# That of the paper's own tables.
PROTOCOL = "released"

_ROW = ("accuracy", "precision", "recall")
_ROUNDING = "to two decimals, half a unit of the last either way"


class Audit(NamedTuple):
  """What a row of scores can mean on a split.

  Attributes:
    counts: of the split.
    num_solutions: 0 if no whole numbers reach the row.
    solutions: the first `MAX_LISTED` of them.
    rights: the numbers of right rows that give the recall.
    unreachable: figure -> why; empty if there is a solution.
  """

  counts: ClassCounts
  num_solutions: int
  solutions: list[Solution]
  rights: range
  unreachable: dict[str, str]


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  for name in (*_ROW, "f1"):
    text = f"{name.capitalize()} as printed: percent, two decimals."
    flags.DEFINE_float(name, None, text)
    flags.register_validator(
      name, _printable, "want percent from 0 to 100 with two decimals"
    )
  flags.DEFINE_integer(
    "num_rows", published.TEST.num_rows, "Rows of the split.", lower_bound=1
  )
  flags.DEFINE_integer(
    "num_relations",
    published.TEST.num_relations,
    "Rows of the split that have a relation.",
    lower_bound=1,
  )
  flags.DEFINE_bool("json", False, "Print one JSON object instead of tables.")
  flags.register_multi_flags_validator(
    (*_ROW, "f1"),
    lambda row: (
      len({row[name] is None for name in _ROW}) == 1
      and (row["f1"] is None or row["accuracy"] is not None)
    ),
    "want --accuracy, --precision and --recall, or none of them",
  )
  flags.register_multi_flags_validator(
    ("num_rows", "num_relations"),
    lambda counts: counts["num_relations"] <= counts["num_rows"],
    "want no more rows with a relation than rows",
  )


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  if values.accuracy is None:
    _show_published(values.json)
    return
  figures = Figures(values.accuracy, values.precision, values.recall, values.f1)
  counts = ClassCounts(values.num_rows, values.num_relations)
  _show_row(figures, audit(figures, counts), values.json)


def audit(figures: Figures, counts: ClassCounts = published.TEST) -> Audit:
  """Searches the whole numbers behind a row of scores.

  Args:
    figures: as printed, in percent.
    counts: of the split that it was measured on.

  Raises:
    ValueError: if a figure is no percentage of two decimals, or the split has
      no relation or more relations than rows.
  """
  if not 1 <= counts.num_relations <= counts.num_rows:
    raise ValueError(
      f"want 1 to {counts.num_rows} rows with a relation of"
      f" {counts.num_rows}, found {counts.num_relations}"
    )
  listed = whole_numbers.solutions(figures, counts)
  return Audit(
    counts,
    whole_numbers.num_solutions(figures, counts),
    list(itertools.islice(listed, MAX_LISTED)),
    whole_numbers.rights(figures, counts),
    whole_numbers.unreachable(figures, counts),
  )


def audit_published() -> list[tuple[published.PublishedRow, str, Audit]]:
  """Audits the paper's rows on test, and on val where test has no solution.

  Returns:
    (row, "test" or "val", audit), val behind test.
  """
  audits = []
  for row in published.ROWS:
    found = audit(row.figures, published.TEST)
    audits.append((row, "test", found))
    if not found.num_solutions:
      audits.append((row, "val", audit(row.figures, published.VAL)))
  return audits


def _show_published(as_json: bool) -> None:
  audits = audit_published()
  if as_json:
    rows = [
      {"table": row.table, "name": row.name, "split": split}
      | _values(row.figures, found)
      for row, split, found in audits
    ]
    values = {"protocol": PROTOCOL, "rounding": _ROUNDING, "rows": rows}
    print(json.dumps(values, indent=2))
    return
  for name in dict.fromkeys(row.table for row in published.ROWS):
    cells = [
      [row.name, split, *_cells(row.figures, found)]
      for row, split, found in audits
      if row.table == name
    ]
    _print(f"{name} of arXiv:2211.07504, protocol: {PROTOCOL}", cells)
  sizes = (
    f"{name} has {counts.num_rows} rows, {counts.num_relations} with a relation"
    for name, counts in (("test", published.TEST), ("val", published.VAL))
  )
  print(f"{'; '.join(sizes)}. Rounded {_ROUNDING}.")


def _show_row(figures: Figures, found: Audit, as_json: bool) -> None:
  if as_json:
    values = {"rounding": _ROUNDING, **_values(figures, found)}
    print(json.dumps(values, indent=2))
    return
  counts = found.counts
  title = (
    f"{counts.num_rows} rows, {counts.num_relations} with a relation; protocol:"
    " whatever the row was measured under"
  )
  _print(title, [["as given", "given", *_cells(figures, found)]])
  for solution in found.solutions:
    print(
      f"right {solution.right}, predicted {solution.predicted}, None right"
      f" {solution.none_right} of {counts.num_rows - counts.num_relations}"
    )
  if found.num_solutions > len(found.solutions):
    print(f"... and {found.num_solutions - len(found.solutions)} more")
  print(f"Rounded {_ROUNDING}.")


def _print(title: str, cells: Sequence[Sequence[str]]) -> None:
  columns = ("row", "split", "acc", "P", "R", "F1")
  columns += ("right / predicted", "None right", "finding")
  table = tables.make_table(title, columns, cells)
  table.columns[1].justify = table.columns[-1].justify = "left"
  for column in table.columns[:-1]:
    column.no_wrap = True
  tables.print_table(table)


def _values(figures: Figures, found: Audit) -> dict[str, Any]:
  """Returns plain values for JSON."""
  return {
    **figures._asdict(),
    **found.counts._asdict(),
    "num_solutions": found.num_solutions,
    "solutions": [solution._asdict() for solution in found.solutions],
    "unreachable": found.unreachable,
    "finding": _finding(found),
  }


def _cells(figures: Figures, found: Audit) -> list[str]:
  """Returns the figures, the numbers behind them, and what these say."""
  printed = ["-" if value is None else f"{value:.2f}" for value in figures]
  right = [*{s.right: 0 for s in found.solutions}] or list(found.rights[:1])
  predicted = [*{s.predicted: 0 for s in found.solutions}]
  none_right = [*{s.none_right: 0 for s in found.solutions}]
  pair = f"{_few(right)} / {_few(predicted)}"
  return [*printed, pair, _few(none_right), _finding(found)]


def _few(numbers: Sequence[int]) -> str:
  """Returns "517", "516 ..." if there are others, "-" if there is none."""
  if not numbers:
    return "-"
  return f"{numbers[0]} ..." if len(numbers) > 1 else str(numbers[0])


def _finding(found: Audit) -> str:
  """Returns what an audit comes to, in a few words."""
  if found.unreachable:
    reasons = found.unreachable.items()
    texts = (f"{name}: {why}" for name, why in reasons)
    return "; ".join(texts).replace("f1:", "F1:")
  num_none = found.counts.num_rows - found.counts.num_relations
  several = f", {found.num_solutions} ways" if found.num_solutions > 1 else ""
  listed = found.num_solutions == len(found.solutions)
  if listed and all(s.none_right == num_none for s in found.solutions):
    return f"only with all {num_none} None rows right{several}"
  return f"consistent{several}"


def _printable(percent: float | None) -> bool:
  return percent is None or whole_numbers.has_two_decimals(percent)
