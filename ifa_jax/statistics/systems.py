"""Systems that predicted the same rows.

A system is `[name=]PATH[,PATH...]`, a path for each of its seeds, see
`predictions`. Existing paths may contain commas and "=": "a,b.jsonl" is one
file if it exists.
"""

import collections
import dataclasses
import os
from collections.abc import Collection, Sequence
from typing import Any

from ifa_jax.statistics import predictions
from ifa_jax.statistics.predictions import Seed

# An error lists so many rows and counts the others.
_NUM_LISTED = 3


@dataclasses.dataclass(frozen=True)
class PredictedSystem:
  """Predictions of models that differ only in their seed."""

  name: str
  seeds: tuple[Seed, ...]  # One or more, of one protocol.

  @property
  def protocol(self) -> str:
    """The protocol of all seeds."""
    return self.seeds[0].protocol


def read(
  words: Sequence[str],
  split: str = "test",
  none: Collection[str] = (predictions.NONE,),
) -> list[PredictedSystem]:
  """Reads systems `[name=]PATH[,PATH...]`, which predicted the same rows.

  For `split` and `none` see `predictions.read`.

  Raises:
    ValueError: names the file and the line, or the first rows, that do not fit.
  """
  systems = []
  for word in words:
    name, paths = parse(word)
    seeds = (predictions.read(path, split, none) for path in paths)
    systems.append(PredictedSystem(name, tuple(seeds)))
  check(systems)
  return systems


def parse(word: str) -> tuple[str, list[str]]:
  """Splits `[name=]PATH[,PATH...]`.

  A system without a name is called after the last parts of its paths:
  "runs/a,out/b.jsonl" is "a,b".

  Raises:
    ValueError: for an empty name or path, or a repeated path.
  """
  name, equals, rest = word.partition("=")
  # A slash before "=" belongs to a path: "runs/rate=1e-5".
  if os.sep in name or not equals or os.path.exists(_split(word)[0]):
    name, rest = None, word
  paths = _split(rest)
  if name == "" or "" in paths or len({*paths}) < len(paths):
    raise ValueError(
      f"expected [name=]PATH[,PATH...] with distinct paths, got {word!r}"
    )
  if name is None:
    ends = (os.path.basename(os.path.abspath(path)) for path in paths)
    name = ",".join(end.removesuffix(".jsonl") for end in ends)
  return name, paths


def _split(paths: str) -> list[str]:
  """Splits at commas, except within the longest path that exists."""
  parts = paths.split(",")
  longer = (",".join(parts[:n]) for n in range(len(parts), 1, -1))
  first = next(filter(os.path.exists, longer), parts[0])
  rest = paths[len(first) + 1 :]
  return [first, *_split(rest)] if len(first) < len(paths) else [first]


def check(systems: Sequence[PredictedSystem]) -> None:
  """Checks that systems can be compared.

  Raises:
    ValueError: if two have the same name, the seeds of one differ in protocol,
      or a file has other rows or gold relations than the first file.
  """
  counts = collections.Counter(system.name for system in systems)
  ((name, count),) = counts.most_common(1)
  if count > 1:
    raise ValueError(
      f"expected different names of systems, got {name!r} {count} times; use"
      " name=PATH"
    )
  for system in systems:
    for seed in system.seeds:
      if seed.protocol != system.protocol:
        raise ValueError(
          f"{system.name}: expected seeds of one protocol, got"
          f" {system.protocol} ({system.seeds[0].path}) and {seed.protocol}"
          f" ({seed.path})"
        )
      _check_same_rows(systems[0].seeds[0], seed)


def _check_same_rows(first: Seed, seed: Seed) -> None:
  missing = [row for row in first.lines if row not in seed.lines]
  extra = [row for row in seed.lines if row not in first.lines]
  if missing or extra:
    raise ValueError(
      f"{seed.path}: expected the rows of {first.path}, got"
      f" {_listed(missing)} missing and {_listed(extra)} additional"
    )
  differing = [
    f"{row} is {seed.lines[row]['gold']}, not {line['gold']}"
    for row, line in first.lines.items()
    if seed.lines[row]["gold"] != line["gold"]
  ]
  if differing:
    raise ValueError(
      f"{seed.path}: expected the gold relations of {first.path}, got others in"
      f" {_listed(differing)}"
    )


def _listed(items: Sequence[Any]) -> str:
  """Returns "2 (a, b)", or "9 (a, b, c, ...)"."""
  names = [str(item) for item in items[:_NUM_LISTED]]
  names += ["..."] * (len(items) > _NUM_LISTED)
  return f"{len(items)} ({', '.join(names)})" if names else "none"


def describe_protocols(systems: Sequence[PredictedSystem]) -> str:
  """Returns the protocol of all systems, or "protocols differ: ...".

  Unknown protocols count as different, even from each other.
  """
  protocols = {system.protocol for system in systems}
  if len(protocols) == 1 and predictions.UNKNOWN not in protocols:
    return systems[0].protocol
  each = ", ".join(f"{system.name} {system.protocol}" for system in systems)
  return f"protocols differ: {each}"
