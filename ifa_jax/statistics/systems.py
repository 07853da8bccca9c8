"""Systems that predicted the same rows.

A system is `[name=]PATH[,PATH...]`, a path for each of its seeds. A path is a
run's folder or a file of JSON lines, as `predictions` reads them. Commas and
"=" may be part of a path that is there: "a,b.jsonl" is one file, if it exists.
"""

import collections
import dataclasses
import os
from collections.abc import Collection, Sequence
from typing import Any

from ifa_jax.statistics import predictions
from ifa_jax.statistics.predictions import Seed

# Named in an error; the others are only counted.
_NUM_NAMED = 3


@dataclasses.dataclass(frozen=True)
class System:
  """A name for models that differ in their seed alone.

  Attributes:
    name: for tables.
    seeds: one or more, of one protocol.
  """

  name: str
  seeds: tuple[Seed, ...]

  @property
  def protocol(self) -> str:
    """The protocol of all seeds."""
    return self.seeds[0].protocol


def read(
  words: Sequence[str],
  split: str = "test",
  none: Collection[str] = (predictions.NONE,),
) -> list[System]:
  """Reads systems and checks that they predicted the same rows.

  Args:
    words: `[name=]PATH[,PATH...]` each.
    split: "dev" or "test"; which file of a run's folder.
    none: names of the negative class, in any case of letters.

  Returns:
    The systems, in the order of the words.

  Raises:
    ValueError: names the file and the line, or the first rows, that do not fit.
  """
  systems = [_read_system(word, split, none) for word in words]
  check(systems)
  return systems


def _read_system(word: str, split: str, none: Collection[str]) -> System:
  name, paths = parse(word)
  seeds = (predictions.read(path, split, none) for path in paths)
  return System(name, tuple(seeds))


def parse(word: str) -> tuple[str, list[str]]:
  """Splits `[name=]PATH[,PATH...]`.

  A system without a name is called by the last parts of its paths:
  "runs/a,out/b.jsonl" is "a,b".

  Raises:
    ValueError: for an empty name or path, or a path that stands there twice.
  """
  name, equals, rest = word.partition("=")
  # A slash before "=" belongs to a path: "runs/rate=1e-5".
  if os.sep in name or not equals or _is_path(word):
    name, rest = None, word
  paths = _split(rest)
  if name == "" or "" in paths or len({*paths}) < len(paths):
    raise ValueError(
      f"want [name=]PATH[,PATH...] with every path once, found {word!r}"
    )
  if name is None:
    ends = (os.path.basename(os.path.abspath(path)) for path in paths)
    name = ",".join(end.removesuffix(".jsonl") for end in ends)
  return name, paths


def _is_path(word: str) -> bool:
  """Returns whether a word without its name is the path of something."""
  return os.path.exists(_split(word)[0])


def _split(paths: str) -> list[str]:
  """Splits at commas, but not within a path that exists; the longest wins."""
  parts = paths.split(",")
  longer = (",".join(parts[:n]) for n in range(len(parts), 1, -1))
  first = next(filter(os.path.exists, longer), parts[0])
  rest = paths[len(first) + 1 :]
  return [first, *_split(rest)] if len(first) < len(paths) else [first]


def check(systems: Sequence[System]) -> None:
  """Checks that systems can be compared.

  Raises:
    ValueError: if two have one name, the seeds of one have several protocols,
      or any file has other rows or gold relations than the first file.
  """
  counts = collections.Counter(system.name for system in systems)
  for name, count in counts.items():
    if count > 1:
      raise ValueError(
        f"want different names of systems, found {name!r} {count} times;"
        " name them: name=PATH"
      )
  for system in systems:
    for seed in system.seeds:
      if seed.protocol != system.protocol:
        raise ValueError(
          f"{system.name}: want seeds of one protocol, found {system.protocol}"
          f" ({system.seeds[0].path}) and {seed.protocol} ({seed.path})"
        )
      _check_same_rows(systems[0].seeds[0], seed)


def _check_same_rows(first: Seed, seed: Seed) -> None:
  missing = [row for row in first.lines if row not in seed.lines]
  extra = [row for row in seed.lines if row not in first.lines]
  if missing or extra:
    raise ValueError(
      f"{seed.path}: want the rows of {first.path}, found"
      f" {_named(missing)} missing and {_named(extra)} that are not there"
    )
  golds = (
    (row, first.lines[row]["gold"], seed.lines[row]["gold"])
    for row in first.lines
  )
  differing = [
    f"{row} is {theirs}, not {ours}"
    for row, ours, theirs in golds
    if ours != theirs
  ]
  if differing:
    raise ValueError(
      f"{seed.path}: want the gold relations of {first.path}, found others in"
      f" {_named(differing)}"
    )


def _named(things: Sequence[Any]) -> str:
  """Returns "2 (a, b)", or "9 (a, b, c, ...)"."""
  names = [str(thing) for thing in things[:_NUM_NAMED]]
  names += ["..."] * (len(things) > _NUM_NAMED)
  return f"{len(things)} ({', '.join(names)})" if names else "none"


def describe_protocols(systems: Sequence[System]) -> str:
  """Returns the protocol of all systems, or "protocols differ: ...".

  One that is unknown may be any, so it counts as differing.
  """
  protocols = {system.protocol for system in systems}
  if len(protocols) == 1 and predictions.UNKNOWN not in protocols:
    return systems[0].protocol
  each = ", ".join(f"{system.name} {system.protocol}" for system in systems)
  return f"protocols differ: {each}"
