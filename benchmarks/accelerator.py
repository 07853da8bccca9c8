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
from ifa_jax import benchmark
from ifa_jax.cli.settings_flags import setting

PARTS = ("training", "inference", "epochs_cold", "epochs")


@dataclasses.dataclass(frozen=True)
class Settings:
  """Flags of the command."""

  out: str = setting("Folder for the JSON files.")
  only: tuple[str, ...] = setting("Parts to run.", PARTS, choices=PARTS)
  rows: tuple[str, ...] = setting(
    "Rows to compare.", ("ours", "eager", "compiled"), choices=pytorch.ROWS
  )
  size: str = setting("Size of encoders.", "base", choices=[*benchmark.SIZES])
  batch_size: int = setting("Rows per step.", 256, least=1)


def command_lines(settings: Settings) -> dict[str, list[str]]:
  """Returns part -> command."""
  shared = [f"--size={settings.size}", f"--batch_size={settings.batch_size}"]
  shared.append("--dtype=bfloat16")
  compared = ["pytorch", *shared, f"--rows={','.join(settings.rows)}"]
  compared += ["--visual_tokens=110", "--rounds=3", "--seconds=5"]
  small = ["--num_rows=40,10,10", "--epochs=2"]
  trained = ["epochs", *shared, *(small if settings.size == "toy" else ())]
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
  """Runs the command of each part in turn; returns the parts that failed.

  All parts share the folder `cache` for compiled code.
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
