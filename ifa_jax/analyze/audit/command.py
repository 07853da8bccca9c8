r"""Numbers of rows that round to a printed row of scores, if there are any.

    python -m ifa_jax.analyze audit
    python -m ifa_jax.analyze audit --accuracy=92.38 --precision=82.59 \
        --recall=80.78 --f1=81.67 --num_rows=1614 --num_relations=640

Lists the whole numbers (right, predicted, None rows right) that round to the
row, or names the figures that no numbers give. Without a row: audits every row
of the paper's tables and of later systems' papers on MNRE's test split, and on
its val split those that test cannot give. A figure printed as 92.38 means
92.375 to 92.385, both ends included; a missing figure may have any value.
"""

import json
from collections.abc import Sequence
from typing import Any

from absl import flags

from ifa_jax.analyze import published
from ifa_jax.analyze.audit import whole_numbers
from ifa_jax.analyze.audit.whole_numbers import Audit
from ifa_jax.analyze.published import ClassCounts, Figures
from ifa_jax.cli import tables

_ROUNDING = "to two decimals, half a unit of the last either way"


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  for name in Figures._fields:
    text = f"{name.capitalize()} as printed: percent, two decimals."
    flags.DEFINE_float(name, None, text)
    flags.register_validator(
      name,
      lambda value: value is None or whole_numbers.has_two_decimals(value),
      "expected percent from 0 to 100 with two decimals",
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
    Figures._fields,
    lambda row: (
      not any(row[name] is None for name in ("precision", "recall"))
      or all(value is None for value in row.values())
    ),
    "expected --precision and --recall, or no figure",
  )
  flags.register_multi_flags_validator(
    ("num_rows", "num_relations"),
    lambda counts: counts["num_relations"] <= counts["num_rows"],
    "expected no more rows with a relation than rows",
  )


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  if values.precision is None:
    _show_published(values.json)
    return
  figures = Figures(values.accuracy, values.precision, values.recall, values.f1)
  counts = ClassCounts(values.num_rows, values.num_relations)
  _show_row(figures, whole_numbers.audit(figures, counts), values.json)


def audit_published() -> list[tuple[published.PublishedRow, str, Audit]]:
  """Audits `published.ROWS` on test, and on val where test has no solution.

  Returns:
    (row, "test" or "val", audit), val after test.
  """
  audits = []
  for row in published.ROWS:
    found = whole_numbers.audit(row.figures, published.TEST)
    audits.append((row, "test", found))
    if not found.num_solutions:
      found = whole_numbers.audit(row.figures, published.VAL)
      audits.append((row, "val", found))
  return audits


def _show_published(as_json: bool) -> None:
  audits = audit_published()
  if as_json:
    rows = [
      {
        "table": row.table,
        "name": row.name,
        "reported_by": row.reported_by,
        "split": split,
        **_values(row.figures, found),
      }
      for row, split, found in audits
    ]
    values = {"protocol": published.PROTOCOL, "rounding": _ROUNDING}
    print(json.dumps(values | {"rows": rows}, indent=2))
    return
  for name in dict.fromkeys(row.table for row in published.ROWS):
    cells = [
      [row.name, split, *_cells(row.figures, found)]
      for row, split, found in audits
      if row.table == name
    ]
    source = "" if name == published.LATER else f" of {published.PAPER}"
    _print(f"{name}{source}, protocol: {published.PROTOCOL}", cells)
  sizes = (
    f"{name} has {counts.num_rows} rows, {counts.num_relations} with a relation"
    for name, counts in (("test", published.TEST), ("val", published.VAL))
  )
  print(f"{'; '.join(sizes)}. Rounded {_ROUNDING}.")
  for source in dict.fromkeys(row.reported_by for row in published.ROWS):
    names = [row.name for row in published.ROWS if row.reported_by == source]
    if source != published.PAPER:
      print(f"Reported by {source}: {'; '.join(names)}.")


def _show_row(figures: Figures, found: Audit, as_json: bool) -> None:
  if as_json:
    values = {"rounding": _ROUNDING, **_values(figures, found)}
    print(json.dumps(values, indent=2))
    return
  num_rows, num_relations = found.counts
  title = (
    f"{num_rows} rows, {num_relations} with a relation; protocol: that of the"
    " row"
  )
  _print(title, [["as given", "given", *_cells(figures, found)]])
  for solution in found.solutions:
    print(
      f"right {solution.right}, predicted {solution.predicted}, None right"
      f" {solution.none_right} of {num_rows - num_relations}"
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
    "finding": _finding(figures, found),
  }


def _cells(figures: Figures, found: Audit) -> list[str]:
  """Returns the figures, the numbers that give them, and the finding."""
  printed = ["-" if value is None else f"{value:.2f}" for value in figures]
  columns = [[*dict.fromkeys(x)] for x in zip(*found.solutions, strict=True)]
  right, predicted, none_right = columns or (found.rights[:1], [], [])
  pair = f"{_few(right)} / {_few(predicted)}"
  return [*printed, pair, _few(none_right), _finding(figures, found)]


def _few(numbers: Sequence[int]) -> str:
  """Returns "517", "516 ..." if there are more, "-" if there is none."""
  if not numbers:
    return "-"
  return f"{numbers[0]} ..." if len(numbers) > 1 else str(numbers[0])


def _finding(figures: Figures, found: Audit) -> str:
  if found.unreachable:
    reasons = found.unreachable.items()
    texts = (f"{name}: {reason}" for name, reason in reasons)
    return "; ".join(texts).replace("f1:", "F1:")
  num_none = found.counts.num_rows - found.counts.num_relations
  several = f", {found.num_solutions} ways" if found.num_solutions > 1 else ""
  if several and figures.accuracy is None:
    several += " without an accuracy"
  listed = found.num_solutions == len(found.solutions)
  all_right = all(s.none_right == num_none for s in found.solutions)
  if num_none and listed and all_right:
    return f"only with all {num_none} None rows right{several}"
  return f"consistent{several}"
