r"""Everything that is measured on an accelerator, one command and one folder.

    python -m benchmarks.accelerator --out=found
    python -m benchmarks.accelerator --out=found --only=training,epochs
    python -m benchmarks.accelerator --out=found --size=toy --batch_size=8 \
        --rows=ours,eager --num_rows=40,10,10 --epochs=2 --dtype=float32

Writes a JSON file each, as soon as it is measured: `training`, `inference` (the
model in bfloat16 beside PyTorch, eager float32 and compiled bfloat16, with all
pictures), `epochs_cold` and `epochs` (12 of MNRE's size, the second from a warm
compilation cache). Each runs in a process of its own, and what fails does not
keep the rest from being measured. About 8 minutes on one large GPU. JAX, flax,
optax, absl, tqdm and rich are needed, for the rows beside the model PyTorch and
transformers; no TensorFlow.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

from absl import flags

from benchmarks.comparison import ROWS
from benchmarks.epoch_run import NUM_ROWS
from ifa_jax import benchmark
from ifa_jax.cli import app

# Flags that the parts are given.
_PASSED = ("size", "dtype", "batch_size", "rows", "seconds", "num_rows")
_PASSED += ("epochs",)
PARTS = ("training", "inference", "epochs_cold", "epochs")


def command_lines(values: Mapping[str, str], out: str) -> dict[str, list[str]]:
  """Returns part -> the command that measures it.

  Args:
    values: of the flags `_PASSED`.
    out: folder of the JSON files.
  """
  flag = lambda *names: [f"--{name}={values[name]}" for name in names]  # noqa: E731
  shared = [*flag("size", "dtype", "batch_size"), "--visual_tokens=110"]
  compared = [*shared, *flag("rows", "seconds"), "--rounds=3"]
  epochs = [*shared, *flag("num_rows", "epochs", "seconds")]
  epochs.append(f"--eval_batch_size={values['batch_size']}")
  modules = {
    "training": ["training", *compared],
    "inference": ["inference", *compared],
    "epochs_cold": ["epochs", *epochs],
    "epochs": ["epochs", *epochs],
  }
  return {
    part: [
      *(sys.executable, "-m", f"benchmarks.{module}"),
      *arguments,
      f"--out={os.path.join(out, part)}.json",
    ]
    for part, (module, *arguments) in modules.items()
  }


def run_all(lines: Mapping[str, Sequence[str]], cache: str) -> list[str]:
  """Runs commands one after the other; returns the parts that failed.

  Args:
    lines: part -> command.
    cache: folder for what JAX compiles; the parts share it.
  """
  environment = os.environ | {
    "JAX_COMPILATION_CACHE_DIR": cache,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
  }
  failed = []
  for part, line in lines.items():
    began = time.perf_counter()
    print(f"{part}: {' '.join(line[1:])}", flush=True)
    status = subprocess.run(line, env=environment, check=False).returncode
    print(
      f"{part}: status {status} after {time.perf_counter() - began:.0f} s",
      flush=True,
    )
    if status:
      failed.append(part)
  return failed


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("out", None, "Folder for the JSON files.", required=True)
  flags.DEFINE_list("only", list(PARTS), f"Of {', '.join(PARTS)}.")
  flags.DEFINE_enum("size", "base", [*benchmark.SIZES], "Of the encoders.")
  flags.DEFINE_enum("dtype", "bfloat16", ["float32", "bfloat16"], "Computes.")
  flags.DEFINE_integer("batch_size", 256, "Rows of a step.", lower_bound=1)
  rows = "ours,eager,compiled"
  flags.DEFINE_string("rows", rows, f"To compare, of {', '.join(ROWS)}.")
  flags.DEFINE_float("seconds", 5.0, "Of a turn, at least.")
  counts = ",".join(map(str, NUM_ROWS))
  flags.DEFINE_string("num_rows", counts, "Of train, dev and test.")
  flags.DEFINE_integer("epochs", 12, "Of training.", lower_bound=1)


def main(_: Sequence[str]) -> int:
  """Runs the command; the status is 1 if a part failed."""
  values = flags.FLAGS
  unknown = [part for part in values.only if part not in PARTS]
  if unknown:
    raise ValueError(
      f"--only: want some of {', '.join(PARTS)}, found {', '.join(unknown)}"
    )
  os.makedirs(values.out, exist_ok=True)
  chosen = {name: values[name].value for name in _PASSED}
  lines = command_lines(chosen, values.out)
  with tempfile.TemporaryDirectory() as cache:
    failed = run_all({part: lines[part] for part in values.only}, cache)
  if failed:
    print(f"failed: {', '.join(failed)}", file=sys.stderr)
  return 1 if failed else 0


if __name__ == "__main__":
  _define_flags()
  app.run(main)
