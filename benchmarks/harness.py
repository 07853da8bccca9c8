"""Shared parts of the benchmarks: flags, tables and files."""

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from absl import flags

from ifa_jax import benchmark
from ifa_jax.cli import app, tables

Settings = TypeVar("Settings")
# --help lists the flags of the main module; flags defined here belong to it.
flags.disclaim_key_flags()


def flag(default: Any, meaning: str, choices: Iterable[str] = ()) -> Any:
  """Returns a field of a settings dataclass that is also a flag.

  Args:
    default: decides the kind of flag; a tuple is a list of values of its first
      element's type, and `dataclasses.MISSING` a required string.
    meaning: the help text.
    choices: allowed values, if they are few.
  """
  about = {"meaning": meaning, "choices": [*choices]}
  return dataclasses.field(default=default, metadata=about)


def run(
  main: Callable[[Settings], int | None], settings: type[Settings]
) -> None:
  """Runs a benchmark as a command.

  Args:
    main: takes the settings; returns the exit status.
    settings: a dataclass of `flag`s.
  """
  for field in dataclasses.fields(settings):
    _define_flag(field.name, field.default, **field.metadata)
  app.run(lambda _: main(read_flags(settings)))


def _define_flag(
  name: str, default: Any, meaning: str, choices: Sequence[str]
) -> None:
  if isinstance(default, tuple):
    values = f" Some of {', '.join(choices)}." if choices else ""
    flags.DEFINE_list(name, [*map(str, default)], meaning + values)
  elif choices:
    flags.DEFINE_enum(name, default, choices, meaning)
  elif isinstance(default, int):
    flags.DEFINE_integer(name, default, meaning, lower_bound=min(default, 1))
  elif isinstance(default, float):
    flags.DEFINE_float(name, default, meaning, lower_bound=0.0)
  elif default is dataclasses.MISSING:
    flags.DEFINE_string(name, None, meaning, required=True)
  else:
    flags.DEFINE_string(name, default, meaning)


def read_flags(settings: type[Settings]) -> Settings:
  """Returns a dataclass of `flag`s with the values of the command line.

  Raises:
    ValueError: for a list with an element that is not allowed.
  """
  values = {}
  for field in dataclasses.fields(settings):
    value = flags.FLAGS[field.name].value
    if isinstance(field.default, tuple):
      value = _read_list(field, value)
    values[field.name] = value
  return settings(**values)


def _read_list(field: dataclasses.Field, words: Sequence[str]) -> tuple:
  choices, kind = field.metadata["choices"], type(field.default[0])
  if choices:
    expected = f"some of {', '.join(choices)}"
  else:
    expected = "positive integers" if kind is int else "values"
  valid = [
    word in choices if choices else kind is str or word.isdigit()
    for word in words
  ]
  if not valid or not all(valid):
    got = ",".join(words) or "none"
    raise ValueError(f"--{field.name}: expected {expected}, got {got}")
  return tuple(kind(word) for word in words)


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
    tables.write_json(out, {"machine": machine} | dict(found))
