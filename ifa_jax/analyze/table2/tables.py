"""Table 2, printed or as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from ifa_jax.analyze import published, tables
from ifa_jax.analyze.published import ClassCounts
from ifa_jax.analyze.tables import Table
from ifa_jax.statistics import bootstrap

_LEAK = (
  "the published figures of {} depend on crops that leak the label (protocol"
  " released), and so do those here if they are under it: README.md, The label"
  " leak"
)


def show(table: Mapping[str, Any]) -> None:
  """Prints the result of `table2.table2`; the first line is the protocol."""
  tables.show(_head(table), _tables(table))


def markdown(table: Mapping[str, Any]) -> str:
  """Returns the result as Markdown; the first line is the protocol."""
  return tables.markdown(_head(table), _tables(table))


def _head(table: Mapping[str, Any]) -> list[str]:
  seeds = {row["variant"]: len(row["runs"]) for row in table["rows"]}
  rows, protocol = f"{table['n']} {table['split']} rows", table["protocol"]
  lines = [*tables.describe(protocol, rows, table["bootstrap"], seeds)]
  lines.append("± standard deviation over seeds")
  counts = ClassCounts(table["n"], table["num_relations"])
  lines += published.other_rows(counts)
  leaking = dict.fromkeys(
    row["published"]["name"]
    for row in table["rows"]
    if row["variant"] in published.READ_CROPS
  )
  if leaking:
    lines.append(_LEAK.format(", ".join(leaking)))
  if table["against"]:
    lines.append(tables.MARKED)
  return lines


def _tables(table: Mapping[str, Any]) -> list[Table]:
  """Returns Table 2, later systems and guesses if any, and the runs."""
  titles = {"Table 2": [], published.LATER: []}
  for row in table["rows"]:
    is_later = row["published"] and row["published"]["table"] == published.LATER
    titles[published.LATER if is_later else "Table 2"].append(row)
  scores = [
    _scores(title, rows, table["against"])
    for title, rows in titles.items()
    if rows
  ]
  return [*scores, *tables.guesses(table), _runs(table["rows"])]


def _scores(
  title: str, rows: Sequence[Mapping[str, Any]], against: str | None
) -> Table:
  columns = ["system", "of", "protocol", "accuracy", "precision", "recall"]
  columns += ["F1"]
  if against:
    columns += [f"F1 - {against}"]
  sections = [[line[: len(columns)] for line in _section(row)] for row in rows]
  return Table(title, columns, sections)


def _section(row: Mapping[str, Any]) -> list[list[str]]:
  """Returns a row's lines: its scores, their intervals, the paper's."""
  scores = [row["scores"][name] for name in bootstrap.SCORES]
  means = [tables.mean(score["seeds"]) for score in scores]
  apart, runs = row["differences"], len(row["runs"])
  first, second = "", ""
  if apart:
    first, second = tables.points(apart["f1"]), tables.interval(apart["f1"])
  seeds = f"{runs} seed{'s' * (runs > 1)}"
  lines = [
    [seeds, row["protocol"], *means, first],
    ["95 %", "", *map(tables.interval, scores), second],
  ]
  if row["published"]:
    figures = [row["published"][name] for name in bootstrap.SCORES]
    # A protocol is the origin of crops; the paper's other rows read none.
    reads_crops = row["variant"] in published.READ_CROPS
    protocol = published.PROTOCOL if reads_crops else ""
    cells = ["-" if x is None else tables.percent(x) for x in figures]
    lines.append(["paper", protocol, *cells, ""])
  return tables.named([row["variant"]], lines)


def _runs(rows: Sequence[Mapping[str, Any]]) -> Table:
  lines = [
    [
      row["variant"],
      "{name} ({table})".format(**x) if (x := row["published"]) else "",
      row["visual_source"],
      ", ".join(str(run["seed"]) for run in row["runs"]),
      f"{round(row['epochs'], 2):g}",
      str(row["updates"]),
    ]
    for row in rows
  ]
  columns = ("system", "published row", "visual input", "seeds", "epochs")
  return Table("Runs", [*columns, "updates"], [lines])
