r"""All measurements for an accelerator, with one command.

    python -m benchmarks.accelerator --out=found
    python -m benchmarks.accelerator --out=found --only=training,epochs
    python -m benchmarks.accelerator --out=found --size=toy --batch_size=8

Writes a JSON file for each part as soon as it is measured: `training` and
`inference` (the model in bfloat16 compared with PyTorch in eager float32 and
compiled bfloat16, all pictures), `epochs_cold` and `epochs` (12 of MNRE's size,
from an empty and from a warm compilation cache). Each part is a process of its
own; the others still run if one fails. About 8 minutes on a large GPU. Needs
JAX, flax, optax, absl, tqdm and rich; for the PyTorch rows PyTorch and
transformers; no TensorFlow. With `--size=toy` the epochs are few and small.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

from benchmarks import harness, pytorch
from benchmarks.harness import flag
from ifa_jax import benchmark

_ROWS = ("ours", "eager", "compiled")
PARTS = ("training", "inference", "epochs_cold", "epochs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """Flags of the command."""

  out: str = flag(dataclasses.MISSING, "Folder for the JSON files.")
  only: tuple[str, ...] = flag(PARTS, "Parts to run.", PARTS)
  rows: tuple[str, ...] = flag(_ROWS, "Rows to compare.", pytorch.ROWS)
  size: str = flag("base", "Size of the encoders.", benchmark.SIZES)
  batch_size: int = flag(256, "Rows per step.")


def command_lines(settings: Settings) -> dict[str, list[str]]:
  """Returns part -> command."""
  shared = [f"--size={settings.size}", f"--batch_size={settings.batch_size}"]
  shared.append("--dtype=bfloat16")
  compared = ["pytorch", *shared, f"--rows={','.join(settings.rows)}"]
  compared += ["--visual_tokens=110", "--rounds=3", "--seconds=5"]
  trained = ["epochs", *shared]
  if settings.size == "toy":
    trained += ["--num_rows=40,10,10", "--epochs=2"]
  parts = {
    "training": [*compared, "--task=train"],
    "inference": [*compared, "--task=predict"],
    "epochs_cold": trained,
    "epochs": trained,
  }
  return {
    part: [
      *(sys.executable, "-m", f"benchmarks.{module}", *arguments),
      f"--out={os.path.join(settings.out, part)}.json",
    ]
    for part, (module, *arguments) in parts.items()
    if part in settings.only
  }


def run_all(lines: Mapping[str, Sequence[str]], cache: str) -> list[str]:
  """Runs commands one after the other; returns the parts that failed.

  Args:
    lines: part -> command.
    cache: folder for compiled code, shared by the parts.
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
    seconds = time.perf_counter() - began
    print(f"{part}: status {status} after {seconds:.0f} s", flush=True)
    if status:
      failed.append(part)
  return failed


def main(settings: Settings) -> int:
  """Runs the command; the status is 1 if a part failed."""
  os.makedirs(settings.out, exist_ok=True)
  with tempfile.TemporaryDirectory() as cache:
    failed = run_all(command_lines(settings), cache)
  if failed:
    print(f"failed: {', '.join(failed)}", file=sys.stderr)
  return 1 if failed else 0


if __name__ == "__main__":
  harness.run(main, Settings)
