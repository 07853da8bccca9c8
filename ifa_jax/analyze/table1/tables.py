"""Table 1, printed or as Markdown."""

from collections.abc import Iterator, Mapping
from typing import Any

from ifa_jax.analyze import published, tables
from ifa_jax.analyze.published import ClassCounts
from ifa_jax.analyze.tables import Table
from ifa_jax.statistics import bootstrap

_COLUMNS = ("system", "pictures", "accuracy", "precision", "recall", "F1")
_COLUMNS += ("F1 - standard",)


def show(table: Mapping[str, Any]) -> None:
  """Prints the result of `command.table1`; the first line is the protocol."""
  tables.show(_head(table), [_scores(table)])


def markdown(table: Mapping[str, Any]) -> str:
  """Returns the result as Markdown; the first line is the protocol."""
  return tables.markdown(_head(table), [_scores(table)])


def _head(table: Mapping[str, Any]) -> list[str]:
  protocols = {row["variant"]: row["protocol"] for row in table["rows"]}
  each = ", ".join(f"{name} {x}" for name, x in protocols.items())
  same = len({*protocols.values()}) == 1
  first = next(iter(protocols.values())) if same else f"by system: {each}"
  lines = [f"protocol: {first}"]
  lines.append(
    f"{table['n']} {table['split']} rows of {table['posts']} posts (img_id);"
    f" 95 % intervals of {bootstrap.NUM_RESAMPLES} bootstrap resamples of posts"
    " and seeds, or of posts and permutations for a single seed"
  )
  lines.append(
    "± standard deviation over seeds, or over permutations for a single seed"
  )
  counts = ClassCounts(table["n"], table["num_relations"])
  lines += published.other_rows(counts)
  return lines


def _scores(table: Mapping[str, Any]) -> Table:
  sections = []
  for row in table["rows"]:
    count = len(row["seeds"])
    name = f"{row['variant']}, {count} seed{'s' * (count > 1)}"
    lines = [x for found in row["conditions"] for x in _lines(row, found)]
    sections.append(tables.named([name], lines))
  return Table("Table 1", _COLUMNS, sections)


def _lines(
  row: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[list[str]]:
  """Yields a condition's scores, their intervals, and the paper's."""
  scores = [found["scores"][name] for name in bootstrap.SCORES]
  first, second = "", ""
  if apart := found.get("minus_standard"):
    first = tables.percent(apart["f1"]["mean"], "+")
    second = tables.interval(apart["f1"])
  name = found["condition"]
  yield [name, *(tables.mean(x["by_seed"]) for x in scores), first]
  yield ["95 %", *map(tables.interval, scores), second]
  if figures := published.SHUFFLED.get((row["variant"], name)):
    yield ["paper", *(f"{x:.2f}" for x in figures), ""]
