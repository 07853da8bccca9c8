r"""How long `ifa_jax.predict` takes for one post, its start included.

    python -m benchmarks.first_answer --workdir=RUN --trees=.,../other \
        --text="Ann joins Acme" --head=Ann --tail=Acme --image=ann.jpg

Cold is a start with an empty folder of compiled code, warm each of the two
after it. Checkouts that are compared take turns, since shared machines drift;
CPU seconds are those of all threads, user and system.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from absl import flags

from ifa_jax.cli import app, progress, tables

_POST = ("workdir", "text", "head", "tail", "image")
_STARTS = ("cold", "warm", "warm")


class Seconds(NamedTuple):
  """What one start took, in seconds: of the clock, and of all processors."""

  wall: float
  cpu: float


Times = Mapping[tuple[str, str], Sequence[Seconds]]


def start(tree: str, post: Sequence[str], kept: str) -> Seconds:
  """Predicts a post once, in a process of its own.

  Args:
    tree: checkout of this repository.
    post: flags of `ifa_jax.predict`.
    kept: folder of compiled code.

  Raises:
    ValueError: if the command failed, with its last line.
  """
  began, before = time.perf_counter(), _cpu_of_children()
  done = subprocess.run(
    [sys.executable, "-m", "ifa_jax.predict", *post],
    env=os.environ | {"JAX_COMPILATION_CACHE_DIR": kept},
    cwd=tree,
    stdin=subprocess.DEVNULL,
    capture_output=True,
    text=True,
    check=False,
  )
  wall = time.perf_counter() - began
  if done.returncode:
    last = ["no message", *done.stderr.strip().splitlines()][-1]
    raise ValueError(f"{tree}: ifa_jax.predict failed: {last}")
  return Seconds(wall, _cpu_of_children() - before)


def _cpu_of_children() -> float:
  used = resource.getrusage(resource.RUSAGE_CHILDREN)
  return used.ru_utime + used.ru_stime


def measure(trees: Sequence[str], post: Sequence[str], rounds: int) -> Times:
  """Returns the times of each (tree, "cold" or "warm"), trees in turn."""
  times: dict[tuple[str, str], list[Seconds]] = {}
  for _ in progress.bar(range(rounds), "rounds", unit=" rounds"):
    for tree in trees:
      with tempfile.TemporaryDirectory() as kept:
        for name in _STARTS:
          found = start(tree, post, kept)
          times.setdefault((tree, name), []).append(found)
  return times


def make_rows(times: Times) -> list[list[str]]:
  """Returns a line for each tree and kind: median, lowest and highest."""
  return [
    [tree, name, *(_spread(column) for column in zip(*found, strict=True))]
    for (tree, name), found in times.items()
  ]


def _spread(values: Sequence[float]) -> str:
  middle = statistics.median(values)
  return f"{middle:.2f} ({min(values):.2f} - {max(values):.2f})"


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  for name in _POST:
    flags.DEFINE_string(name, None, "As ifa_jax.predict has it.")
  flags.DEFINE_list("trees", ["."], "Checkouts to compare.")
  flags.DEFINE_integer("rounds", 4, "Of three starts each.", lower_bound=1)
  flags.mark_flags_as_required(["workdir", "text"])


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  paths = {
    name: os.path.abspath(values[name].value)
    for name in ("workdir", "image")
    if values[name].value
  }
  given = {name: values[name].value for name in _POST} | paths
  post = [f"--{name}={value}" for name, value in given.items() if value]
  times = measure(values.trees, post, values.rounds)
  columns = ("checkout", "start", "seconds", "CPU seconds")
  tables.print_table(tables.make_table("", columns, make_rows(times)))


if __name__ == "__main__":
  _define_flags()
  app.run(main)
