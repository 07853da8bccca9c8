"""Tables whose lines belong together in sections, and cells with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ifa_jax.cli import tables as report

# The share that is tolerated among the marks of several differences.
FALSE_DISCOVERIES = 0.05


class Table(NamedTuple):
  """A table's text; sections are lines that belong together."""

  title: str
  columns: Sequence[str]
  sections: list[list[list[str]]]


def named(names: list[str], lines: list[list[str]]) -> list[list[str]]:
  """Puts names in front of the first line, and as many blanks elsewhere."""
  blanks = [""] * len(names)
  return [(blanks if i else names) + line for i, line in enumerate(lines)]


def show(table: Table) -> None:
  """Prints a table with a line between its sections."""
  made = report.make_table(table.title, table.columns, _lines(table))
  # Else MNRE's longest relation would be cut in a terminal of 80 columns.
  made.collapse_padding = True
  end = 0
  for section in table.sections:
    end += len(section)
    made.rows[end - 1].end_section = True
  report.print_table(made)


def markdown(head: Sequence[str], tables: Sequence[Table]) -> str:
  """Returns tables as Markdown.

  Args:
    head: the first line, and others that become a list below it.
    tables: in this order.
  """
  first, *others = head
  parts = [first, "\n".join(f"- {line}" for line in others)]
  return "\n\n".join([*parts, *map(_markdown_table, tables)]) + "\n"


def _markdown_table(table: Table) -> str:
  return report.markdown_table(
    table.title, table.columns, _lines(table)
  ).rstrip()


def _lines(table: Table) -> list[list[str]]:
  return [line for section in table.sections for line in section]


def resampling(
  rows: str, found: Mapping[str, Any], seeds: Mapping[str, int]
) -> Iterator[str]:
  """Yields lines that say how intervals were made, and what they leave out.

  Args:
    rows: "1614 rows".
    found: `resamples`, `seed` and `posts` of `compare.compare`.
    seeds: how many each system has.
  """
  also = " and seeds" if max(seeds.values()) > 1 else ""
  yield (
    f"{rows} of {found['posts']} posts (img_id), 95 % intervals of"
    f" {found['resamples']} bootstrap resamples of posts{also} (seed"
    f" {found['seed']})"
  )
  single = [name for name, number in seeds.items() if number == 1]
  if single:
    yield (
      f"one seed of {', '.join(single)}: intervals hold given these weights;"
      " runs with other seeds may lie further apart"
    )


def difference(found: Mapping[str, Any]) -> str:
  """Returns "+1.20 [-0.30, 2.70]", or "* +1.20 [0.30, 2.10]".

  Args:
    found: `difference`, `low`, `high`, `excludes_0` and perhaps `adjusted_p`
      of `compare.compare`.
  """
  return with_interval(points(found), found)


def points(found: Mapping[str, Any]) -> str:
  """Returns a difference without its interval: "+1.20", or "* +1.20"."""
  shown = percent(found["difference"])
  sign = "" if shown.startswith("-") or shown == "0.00" else "+"
  marked = found["excludes_0"]
  if "adjusted_p" in found:
    marked = found["adjusted_p"] < FALSE_DISCOVERIES
  return "* " * marked + sign + shown


def with_interval(value: str, found: Mapping[str, Any]) -> str:
  """Returns "81.67 [79.10, 84.02]"."""
  return f"{value} {interval(found)}"


def interval(found: Mapping[str, Any]) -> str:
  """Returns "[79.10, 84.02]"."""
  return f"[{percent(found['low'])}, {percent(found['high'])}]"


def percent(fraction: float) -> str:
  """Returns 0.81671 as "81.67", and a rounded 0 without a minus."""
  text = report.percent(fraction)
  return "0.00" if text == "-0.00" else text
