"""The table of counts that a preparation command ends with."""

from collections.abc import Mapping

from ifa_jax.cli import tables


def show(
  title: str, counts: Mapping[str, Mapping[str, int | str]], path: str
) -> None:
  """Prints counts, one split in each column, and the path of the result."""
  rows = [
    [name, *(str(split[name]) for split in counts.values())]
    for name in next(iter(counts.values()))
  ]
  tables.print_table(tables.make_table(title, ("", *counts), rows))
  # Not through rich, which would break a long path into lines.
  print(path)
