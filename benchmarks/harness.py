"""Shared parts of the benchmarks: flags, tables and files."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from absl import flags

from ifa_jax import benchmark
from ifa_jax.cli import app, settings_flags, tables
from ifa_jax.files import json_file

# --help lists the flags of the main module; flags defined here belong to it.
flags.disclaim_key_flags()


def run(main: Callable[[Any], int | None], settings: type) -> None:
  """Runs a benchmark as a command.

  Args:
    main: takes the settings; returns the exit status.
    settings: a dataclass of `settings_flags.setting`s.
  """
  settings_flags.define(settings)
  app.run(lambda _: main(app.read_settings(settings)))


def spread(values: Sequence[float] | None, digits: int) -> str:
  """Returns "1.52 (1.40 - 1.60)": median, lowest, highest; "" for none."""
  if not values:
    return ""
  middle, low, high = (
    f"{x:.{digits}f}"
    for x in (statistics.median(values), min(values), max(values))
  )
  return f"{middle} ({low} - {high})"


def report(
  title: str,
  columns: Sequence[str],
  rows: Iterable[Sequence[str]],
  found: Mapping[str, Any],
  out: str | None,
) -> None:
  """Prints a table and the machine; writes the figures to a JSON file.

  Args:
    title: above the table.
    columns: names.
    rows: cells.
    found: the figures.
    out: path of the file, or None for no file.
  """
  machine = benchmark.describe_machine()
  title += (
    f"\non {machine['num_devices']} x {machine['device']}"
    f" ({machine['backend']}), {machine['num_cores']} cores"
  )
  tables.print_table(tables.make_table(title, columns, rows))
  if out:
    json_file.write(out, {"machine": machine, **found})
