"""Tables in sections, and cells with means and intervals."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ifa_jax.cli import tables as report
from ifa_jax.cli.tables import percent

# Expected share of chance among the differences that are marked.
FALSE_DISCOVERIES = 0.05
# Explains the mark of `points`.
MARKED = "* where the interval of a difference excludes 0"


class Table(NamedTuple):
  """A table's text; a section is a list of lines."""

  title: str
  columns: Sequence[str]
  sections: list[list[list[str]]]

  @property
  def lines(self) -> list[list[str]]:
    """The lines of all sections."""
    return [line for section in self.sections for line in section]


def named(names: list[str], lines: list[list[str]]) -> list[list[str]]:
  """Prepends names to the first line, and as many blanks to the others."""
  blanks = [""] * len(names)
  return [(blanks if i else names) + line for i, line in enumerate(lines)]


def show(head: Sequence[str], tables: Sequence[Table]) -> None:
  """Prints lines, then tables with a rule between their sections."""
  print("\n".join(head))
  for table in tables:
    made = report.make_table(table.title, table.columns, table.lines)
    # Otherwise MNRE's longest relation is cut in a terminal of 80 columns.
    made.collapse_padding = True
    end = 0
    for section in table.sections:
      end += len(section)
      made.rows[end - 1].end_section = True
    print()
    report.print_table(made)


def markdown(head: Sequence[str], tables: Sequence[Table]) -> str:
  """Returns lines, from the second on as a list, and tables as Markdown."""
  first, *others = head
  parts = [first, "\n".join(f"- {line}" for line in others)]
  parts += [
    report.markdown_table(table.title, table.columns, table.lines).rstrip()
    for table in tables
  ]
  return "\n\n".join(parts) + "\n"


def describe(
  protocol: str, rows: str, found: Mapping[str, Any], seeds: Mapping[str, int]
) -> Iterator[str]:
  """Yields lines on the protocol and on the method of the intervals.

  Args:
    protocol: of all systems, or "protocols differ: ...".
    rows: "1614 rows".
    found: `resamples`, `seed` and `posts` of `compare.compare`.
    seeds: the number of seeds of each system.
  """
  differs = protocol.startswith("protocols differ")
  yield protocol if differs else f"protocol: {protocol}"
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
      " runs with other seeds may differ by more"
    )


def guesses(found: Mapping[str, Any]) -> list[Table]:
  """Returns the table of `counts_only` of a result, none without it."""
  keys = ("accuracy", "precision", "recall", "f1")
  rows = [
    [name, *(percent(scores[key]) for key in keys)]
    for name, scores in (found["counts_only"] or {}).items()
  ]
  columns = ("guess", "accuracy", "precision", "recall", "F1")
  return [Table("Without text and picture", columns, [rows])] if rows else []


def is_marked(found: Mapping[str, Any]) -> bool:
  """Returns whether a difference of `compare.compare` is one from 0."""
  if "adjusted_p" in found:
    return found["adjusted_p"] < FALSE_DISCOVERIES
  return found["excludes_0"]


def points(found: Mapping[str, Any]) -> str:
  """Returns a difference of `compare.compare`: "-1.20", or "* +1.20"."""
  shown = percent(found["difference"], "+")
  return "* " * is_marked(found) + ("0.00" if shown == "+0.00" else shown)


def difference(found: Mapping[str, Any]) -> str:
  """Returns "* +1.20 [0.30, 2.10]": `points` and `interval`."""
  return f"{points(found)} {interval(found)}"


def interval(found: Mapping[str, Any]) -> str:
  """Returns "[79.10, 84.02]"."""
  return f"[{percent(found['low'])}, {percent(found['high'])}]"


def mean(by_seed: Sequence[float]) -> str:
  """Returns "81.67", or with the standard deviation "29.52 ± 0.71"."""
  text = percent(statistics.fmean(by_seed))
  if len(by_seed) == 1:
    return text
  return f"{text} ± {percent(statistics.stdev(by_seed))}"
