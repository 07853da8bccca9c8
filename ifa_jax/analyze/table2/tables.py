"""Table 2 as printed tables and as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from ifa_jax.analyze import published, tables
from ifa_jax.analyze.tables import Table
from ifa_jax.cli import tables as report
from ifa_jax.statistics import bootstrap

_PAPERS_PROTOCOL = published.PROTOCOL

_LEAK = (
  "the paper's figures of w/ Visual Objects rest on the label leak of protocol"
  " released, and so do those here if they are under it: README.md, What the"
  " image really does"
)


def show(table: Mapping[str, Any]) -> None:
  """Prints all tables; the first line says the protocol.

  Args:
    table: as `table2.table2` returns it.
  """
  print("\n".join(_head(table)))
  for part in _tables(table):
    print()
    tables.show(part)


def markdown(table: Mapping[str, Any]) -> str:
  """Returns all tables as Markdown; the first line says the protocol."""
  return tables.markdown(_head(table), _tables(table))


def _head(table: Mapping[str, Any]) -> list[str]:
  protocol = table["protocol"]
  if not protocol.startswith("protocols differ"):
    protocol = f"protocol: {protocol}"
  seeds = {row["variant"]: len(row["runs"]) for row in table["rows"]}
  rows = f"{table['n']} {table['split']} rows"
  lines = [protocol, *tables.resampling(rows, table["bootstrap"], seeds)]
  lines.append("± standard deviation over seeds")
  size = (table["n"], table["num_relations"])
  if size != published.TEST:
    lines.append(
      f"these are other rows than the paper's: {size[0]} with {size[1]}"
      f" relations, not {published.TEST.num_rows} with"
      f" {published.TEST.num_relations}"
    )
  if any(row["variant"] in published.READ_CROPS for row in table["rows"]):
    lines.append(_LEAK)
  if table["against"]:
    lines.append("* where the interval of a difference excludes 0")
  return lines


def _tables(table: Mapping[str, Any]) -> list[Table]:
  return [_scores(table), _runs(table["rows"])]


def _scores(table: Mapping[str, Any]) -> Table:
  columns = ["system", "of", "protocol", "accuracy", "precision", "recall"]
  columns += ["F1"]
  if table["against"]:
    columns += [f"F1 - {table['against']}"]
  sections = [
    [line[: len(columns)] for line in _section(row)] for row in table["rows"]
  ]
  return Table("Table 2", columns, sections)


def _section(row: Mapping[str, Any]) -> list[list[str]]:
  """Returns a row's lines: its scores, their intervals, the paper's."""
  scores = [row["scores"][name] for name in bootstrap.SCORES]
  apart, runs = row["differences"], len(row["runs"])
  first, second = "", ""
  if apart:
    first, second = tables.points(apart["f1"]), tables.interval(apart["f1"])
  seeds = f"{runs} seed{'s' * (runs > 1)}"
  lines = [
    [seeds, row["protocol"], *map(_mean, scores), first],
    ["95 %", "", *map(tables.interval, scores), second],
  ]
  if row["published"]:
    figures = (row["published"][name] for name in bootstrap.SCORES)
    shown = map(report.percent, figures)
    # A protocol says where crops come from; the paper's other rows read none.
    reads_crops = row["variant"] in published.READ_CROPS
    protocol = _PAPERS_PROTOCOL if reads_crops else ""
    lines.append(["paper", protocol, *shown, ""])
  return tables.named([row["variant"]], lines)


def _mean(score: Mapping[str, Any]) -> str:
  """Returns "81.67", or "81.67 ± 0.71" over seeds."""
  mean = report.percent(score["mean"])
  if score["deviation"] is None:
    return mean
  return f"{mean} ± {report.percent(score['deviation'])}"


def _runs(rows: Sequence[Mapping[str, Any]]) -> Table:
  columns = ("system", "stands for", "visual input", "seeds", "epochs")
  lines = [
    [
      row["variant"],
      _stands_for(row["published"]),
      row["visual_source"],
      ", ".join(str(run["seed"]) for run in row["runs"]),
      f"{round(row['epochs'], 2):g}",
      str(row["updates"]),
    ]
    for row in rows
  ]
  return Table("Runs", [*columns, "updates"], [lines])


def _stands_for(row: Mapping[str, Any] | None) -> str:
  return f"{row['name']} ({row['table']})" if row else ""
