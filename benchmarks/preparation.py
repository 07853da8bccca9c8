r"""What preparing all of MNRE costs: time, bytes of shards and memory.

    python -m benchmarks.preparation
    python -m benchmarks.preparation --raw_dir=data \
        --tokenizer=bert-base-uncased --out=preparation.json

`data_prep.mnre` runs in a process of its own over a tree as MNRE's, protocol
clean, its pictures 800 x 600. Those that --raw_dir lacks are generated, as hard
to compress as MNRE's; without --raw_dir rows are generated too. Each row has
three grounded and three detected crops. Generating is not timed. Memory is the
largest sum of the resident sets of the command's processes, seen every 0.1 s:
what they share counts once for each.
"""

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import psutil
from absl import flags

from benchmarks import photo_tree
from ifa_jax import benchmark
from ifa_jax.cli import app, tables
from ifa_jax.data import schema

_INTERVAL = 0.1


class Cost(NamedTuple):
  """Of one run of a command.

  Attributes:
    seconds: from its start to its end.
    cpu_seconds: that its processes computed, over all cores.
    peak_bytes: the most memory that its processes took together.
  """

  seconds: float
  cpu_seconds: float
  peak_bytes: int


def run(arguments: Sequence[str]) -> Cost:
  """Runs a command and watches its processes.

  Raises:
    ValueError: if it fails, with its last line.
  """
  began, computed, peak = time.perf_counter(), _cpu_seconds(), 0
  with tempfile.TemporaryFile("w+") as log:
    process = subprocess.Popen(arguments, stdout=log, stderr=log)
    while process.poll() is None:
      peak = max(peak, _resident_bytes(process.pid))
      time.sleep(_INTERVAL)
    seconds = time.perf_counter() - began
    log.seek(0)
    if process.returncode:
      last = [line for line in log.read().splitlines() if line.strip()][-1:]
      raise ValueError(f"{' '.join(arguments)}: {' '.join(last)}")
  return Cost(seconds, _cpu_seconds() - computed, peak)


def _cpu_seconds() -> float:
  """Returns what processes of this one's that have ended computed."""
  used = resource.getrusage(resource.RUSAGE_CHILDREN)
  return used.ru_utime + used.ru_stime


def _resident_bytes(pid: int) -> int:
  """Sums over a process and its descendants; they may end meanwhile."""
  total = 0
  with contextlib.suppress(psutil.NoSuchProcess):
    parent = psutil.Process(pid)
    for process in [parent, *parent.children(recursive=True)]:
      with contextlib.suppress(psutil.NoSuchProcess):
        total += process.memory_info().rss
  return total


def measure(
  tree: photo_tree.Tree, data_dir: str, tokenizer: str
) -> dict[str, Any]:
  """Prepares a tree; returns its figures, of the dataset in `data_dir`."""
  cost = run(
    [
      sys.executable,
      "-m",
      "data_prep.mnre",
      f"--raw_dir={tree.raw_dir}",
      f"--data_dir={data_dir}",
      f"--tokenizer={tokenizer or tree.tokenizer}",
      f"--boxes={tree.boxes}",
      "--protocol=clean",
      "--overwrite",
    ]
  )
  prepared = schema.read_metadata(data_dir)
  num_rows = sum(prepared.num_rows.values())
  names = [name for name in os.listdir(prepared.folder) if "tfrecord" in name]
  paths = [os.path.join(prepared.folder, name) for name in names]
  return {
    "num_rows": num_rows,
    "seconds": cost.seconds,
    "cpu_seconds": cost.cpu_seconds,
    "rows_per_second": num_rows / cost.seconds,
    "shard_bytes": sum(map(os.path.getsize, paths)),
    "peak_bytes": cost.peak_bytes,
  }


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("raw_dir", None, "A tree as published; generated if not.")
  flags.DEFINE_string("tokenizer", "", "Of --raw_dir: a hub id or a folder.")
  flags.DEFINE_string("work_dir", None, "Where tree and dataset stay.")
  flags.DEFINE_string("out", None, "JSON file to write.")
  for name, default, meaning in (
    ("rows", sum(photo_tree.NUM_ROWS.values()), "Rows to generate."),
    ("num_pictures", photo_tree.NUM_PICTURES, "Pictures that they share."),
  ):
    flags.DEFINE_integer(name, default, meaning, lower_bound=3)


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  if values.raw_dir and not values.tokenizer:
    raise ValueError("--raw_dir: want its --tokenizer too, found none")
  with contextlib.ExitStack() as stack:
    folder = values.work_dir or stack.enter_context(
      tempfile.TemporaryDirectory()
    )
    tree = photo_tree.make(
      os.path.join(folder, "raw"),
      values.raw_dir,
      photo_tree.share_out(values.rows),
      values.num_pictures,
    )
    data_dir = os.path.join(folder, "data")
    found = measure(tree, data_dir, values.tokenizer)
  _show(values, tree, found)


def _show(values: Any, tree: photo_tree.Tree, found: dict[str, Any]) -> None:
  """Prints the table and writes the file, if one is asked for."""
  machine = benchmark.describe_machine() | {"num_cores": os.cpu_count()}
  title = (
    f"data_prep.mnre on {machine['num_cores']} cores, {tree.num_generated}"
    " pictures generated"
  )
  columns = (
    "rows",
    "seconds",
    "CPU seconds",
    "rows/s",
    "shards, GB",
    "memory, GB",
  )
  cells = [
    f"{found['num_rows']:,}",
    f"{found['seconds']:.0f}",
    f"{found['cpu_seconds']:.0f}",
    f"{found['rows_per_second']:.1f}",
    f"{found['shard_bytes'] / 1e9:.2f}",
    f"{found['peak_bytes'] / 1e9:.2f}",
  ]
  tables.print_table(tables.make_table(title, columns, [cells]))
  if values.out:
    made = {"num_generated": tree.num_generated}
    tables.write_json(values.out, {"machine": machine, **made, **found})


if __name__ == "__main__":
  _define_flags()
  app.run(main)
