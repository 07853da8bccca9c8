r"""From the command to the first update: cold, and from what was kept.

    python -m benchmarks.start --out=start.json
    python -m benchmarks.start --variant=tiny --warm_starts=3

Every start is `launch.py` in a process of its own, until the first update of 32
rows is done; a second one tells how much of that was the update's own. The
first start finds an empty folder of compiled code, the others what
it left there. The dataset is generated before: quickstart posts with squares of
full size. CPU seconds are those of all threads: on a shared machine the wall
clock tells what others do.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from benchmarks import start_once
from configs import mnre
from ifa_jax import benchmark
from ifa_jax.cli import app, tables
from ifa_jax.data import schema
from ifa_jax.preparation.mnre import plan, prepare
from ifa_jax.preparation.quickstart import command as quickstart

_COLD, _WARM = "cold", "warm"


def make_data(folder: str, num_rows: int, patch_size: int) -> str:
  """Generates and prepares posts; returns the dataset's folder.

  Args:
    folder: an empty one.
    num_rows: of the training split.
    patch_size: in pixels; pictures are squares of 224.
  """
  raw, data = (os.path.join(folder, name) for name in ("raw", "data"))
  quickstart.generate(raw, quickstart.Settings(num_rows, 32, 32))
  prepare.prepare(
    plan.Settings(
      raw_dir=raw,
      data_dir=data,
      protocol="clean",
      boxes=os.path.join(raw, "boxes.json"),
      tokenizer=os.path.join(raw, "tokenizer"),
      patch_size=patch_size,
    )
  )
  return data


def launch_flags(variant: str, data_dir: str) -> list[str]:
  """Returns the flags of a run of configs/mnre.py on generated posts."""
  metadata = schema.read_metadata(data_dir).metadata
  return [
    f"--config={mnre.__file__}:{variant}",
    f"--config.data.data_dir={data_dir}",
    "--config.data.protocol=clean",
    "--config.weights=random",
    f"--config.data.tokenizer_sha256={metadata['tokenizer']['sha256']}",
    f"--config.model.num_relations={len(metadata['relations'])}",
    "--config.train.progress=False",
  ]


def start(flag_values: Sequence[str], folder: str, kept: str) -> dict[str, Any]:
  """Starts a run and returns what `start_once` wrote.

  Args:
    flag_values: of launch.py, without --workdir.
    folder: an empty one.
    kept: the folder of compiled code.

  Raises:
    ValueError: if the run failed, with its last line.
  """
  path = os.path.join(folder, "times.json")
  done = subprocess.run(
    [
      sys.executable,
      *("-m", start_once.__name__, path),
      *flag_values,
      f"--workdir={os.path.join(folder, 'run')}",
    ],
    env=os.environ | {"JAX_COMPILATION_CACHE_DIR": kept},
    cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
    stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
    check=False,
  )
  if done.returncode:
    raise ValueError(
      f"launch.py failed: {done.stderr.strip().splitlines()[-1]}"
    )
  with open(path, encoding="utf-8") as file:
    return json.load(file)


def make_rows(starts: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
  """Returns the lines of the table.

  They are the parts, their sum, that without an update, and JAX's account.
  """
  some = next(iter(starts.values()))
  sums = {
    name: {
      kind: sum(part[kind] for part in found["parts"].values())
      for kind in ("wall", "cpu")
    }
    for name, found in starts.items()
  }
  rows = [
    [part, *(_cell(found["parts"][part]) for found in starts.values())]
    for part in some["parts"]
  ]
  rows.append(["in all", *map(_cell, sums.values())])
  starting = [
    {kind: found[kind] - starts[name]["update"][kind] for kind in found}
    for name, found in sums.items()
  ]
  rows.append(["in all, without an update", *map(_cell, starting)])
  for event in some["jax"]:
    cells = (f"{found['jax'].get(event, 0):.2f}" for found in starts.values())
    rows.append([f"of that, JAX: {event}", *cells])
  return rows


def _cell(seconds: Mapping[str, float]) -> str:
  return f"{seconds['wall']:.2f} ({seconds['cpu']:.2f})"


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_enum("variant", "objects", mnre.VARIANTS, "Of configs/mnre.py.")
  flags.DEFINE_integer("rows", 512, "Training rows.", lower_bound=32)
  flags.DEFINE_integer("warm_starts", 2, "After the cold one.", lower_bound=1)
  flags.DEFINE_string("out", None, "JSON file to write.")


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  patch_size = 14 if values.variant == "large" else 32
  names = [_COLD, *(f"{_WARM} {i + 1}" for i in range(values.warm_starts))]
  starts = {}
  with tempfile.TemporaryDirectory() as folder:
    data = make_data(folder, values.rows, patch_size)
    flag_values = launch_flags(values.variant, data)
    for name in names:
      inside = os.path.join(folder, name)
      os.mkdir(inside)
      kept = os.path.join(folder, "compiled")
      starts[name] = start(flag_values, inside, kept)
  _show(starts, values)


def _show(starts: Mapping[str, Mapping[str, Any]], values: Any) -> None:
  """Prints the table and writes the file, if one is asked for."""
  machine = benchmark.describe_machine()
  title = (
    f"Seconds until {values.variant} has made its first update, and CPU\n"
    "seconds, on"
    f" {machine['num_devices']} x {machine['device']} ({machine['backend']})"
  )
  rows = make_rows(starts)
  tables.print_table(tables.make_table(title, ("part", *starts), rows))
  if values.out:
    found = {"machine": machine, "variant": values.variant, "starts": starts}
    tables.write_json(values.out, found)


if __name__ == "__main__":
  _define_flags()
  app.run(main)
