r"""Whole epochs of MNRE's size, from the start to the test scores.

    JAX_COMPILATION_CACHE_DIR=cache python -m benchmarks.epochs
    python -m benchmarks.epochs --size=toy --num_rows=400,50,50 --epochs=2

As many random posts as MNRE has, texts of its lengths, pictures as uint8 on the
device (`data.pipeline.device_cache`); training with dev after each epoch and
test at the end, by the steps that `launch.py` runs. Neither TensorFlow nor a
dataset is needed, and no checkpoint is written. Run it twice: the second start
finds what the first compiled. *In steps* is the share of an epoch that its
updates take when one batch is repeated and nothing else is done.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from absl import flags

from benchmarks.comparison import VISUAL_TOKENS
from benchmarks.epoch_run import NUM_ROWS, Epoch, Settings, measure
from ifa_jax import benchmark
from ifa_jax.cli import app, tables
from ifa_jax.runtime.data_parallel import FORMS


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  first = Settings()
  flags.DEFINE_enum("size", first.size, [*benchmark.SIZES], "Of the encoders.")
  flags.DEFINE_enum("visual_tokens", "110", [*VISUAL_TOKENS], "Of a row.")
  dtypes = ["float32", "bfloat16"]
  flags.DEFINE_enum("dtype", first.dtype, dtypes, "Computes.")
  flags.DEFINE_enum("parallel", "pmap", [*FORMS], "How steps are spread.")
  rows = [str(n) for n in NUM_ROWS]
  flags.DEFINE_list("num_rows", rows, "Of train, dev and test.")
  for name, meaning in (
    ("epochs", "Of training."),
    ("batch_size", "Rows of an update, over all devices."),
    ("eval_batch_size", "Rows of a prediction."),
  ):
    flags.DEFINE_integer(name, getattr(first, name), meaning, lower_bound=1)
  flags.DEFINE_float("seconds", 2.0, "To repeat an update for in the end.")
  flags.DEFINE_string("out", None, "JSON file to write.")


def read_num_rows(values: Sequence[str]) -> tuple[int, int, int]:
  """Returns the rows of train, dev and test.

  Raises:
    ValueError: unless they are three numbers from 1.
  """
  if len(values) != 3 or not all(n.isdigit() and int(n) for n in values):
    raise ValueError(
      f"--num_rows: want three numbers from 1, found {','.join(values)!r}"
    )
  return tuple(map(int, values))


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  names = [field.name for field in dataclasses.fields(Settings)]
  chosen = {name: values[name].value for name in names}
  chosen["num_rows"] = read_num_rows(chosen["num_rows"])
  found = measure(Settings(**chosen), values.seconds)
  _show(found)
  if values.out:
    tables.write_json(values.out, found)


def _show(found: dict[str, Any]) -> None:
  """Prints a line for each epoch."""
  settings, machine = found["settings"], found["machine"]
  title = (
    f"{settings['epochs']} epochs, size {settings['size']},"
    f" {settings['dtype']}, {settings['batch_size']} rows an update"
    f"\non {machine['num_devices']} x {machine['device']}:"
    f" {found['total_seconds']:.1f} s in all;"
    f" {100 * found['share_in_steps']:.0f} % of an epoch in steps"
  )
  cells = [
    [str(i), *(f"{epoch[k]:.2f}" for k in Epoch._fields)]
    for i, epoch in enumerate(found["epochs"], start=1)
  ]
  columns = ("epoch", "train, s", "dev, s", "loss")
  tables.print_table(tables.make_table(title, columns, cells))


if __name__ == "__main__":
  _define_flags()
  app.run(main)
