r"""How the quickstart's scores depend on the seed.

    python -m benchmarks.quickstart_seeds --seeds=1,2,3 --workdir=runs/seeds
    python -m benchmarks.quickstart_seeds --dtype=bfloat16 --beside= \
        --workdir=runs/seeds_bfloat16

Trains `objects` of configs/quickstart.py with each seed, scores it under
shuffle(test), trains the variants `--beside` it, and prints the test F1 of all,
with the lowest and the highest. The dataset is that of `make quickstart`. A run
that is finished in `--workdir` is not made again.
"""

import os
from collections.abc import Sequence
from typing import Any

from absl import flags

from configs import quickstart
from ifa_jax.analyze.shuffle import command as shuffle
from ifa_jax.cli import app, tables
from ifa_jax.training import experiment, loop
from ifa_jax.training.config.resolve import resolve
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.workdir.run_folder import RunFolder


def score(
  workdir: str, seed: int, variant: str, **settings: Any
) -> list[float]:
  """Trains a variant, unless that was done.

  Args:
    workdir: the folder of all runs.
    seed: of the run.
    variant: of configs/quickstart.py.
    **settings: "data.data_dir" and others, dotted, over the config's.

  Returns:
    Its test F1 in percent; for `objects` the mean under shuffle(test) as well.
  """
  config = quickstart.get_config(variant)
  config.update_from_flattened_dict(settings | {"seed": seed})
  built = experiment.build(resolve(RunConfig.from_dict(config.to_dict())))
  folder = RunFolder(os.path.join(workdir, f"{variant}_{seed}"))
  scores = loop.run(built, folder.path)
  if variant != "objects":
    return [100 * scores["f1"]]
  found = shuffle.shuffle_table(built, folder)["rows"]
  return [100 * row["scores"]["f1"]["mean"] for row in found[:2]]


def rows(
  seeds: Sequence[str], table: Sequence[Sequence[float]]
) -> list[list[str]]:
  """Returns the cells of a table, its lowest and highest figures last.

  Args:
    seeds: one for each row.
    table: percent, [seeds, columns].
  """
  columns = [*zip(*table, strict=True)]
  extremes = [min(column) for column in columns], [max(x) for x in columns]
  names = (*seeds, "lowest", "highest")
  return [
    [name, *(f"{percent:.2f}" for percent in row)]
    for name, row in zip(names, (*table, *extremes), strict=True)
  ]


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  settings = {
    "data.data_dir": values.data_dir,
    "model.dtype": values.dtype,
    "train.progress": False,
  }
  table = []
  for seed in map(int, values.seeds):
    table.append([])
    for variant in ("objects", *values.beside):
      table[-1] += score(values.workdir, seed, variant, **settings)
  columns = ("seed", "objects", "shuffle(test)", *values.beside)
  title = f"Test F1 of the quickstart in {values.dtype}"
  print(tables.markdown_table(title, columns, rows(values.seeds, table)))


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  seeds = [*map(str, range(1, 11)), "1234"]
  flags.DEFINE_list("seeds", seeds, "Of the runs.")
  flags.DEFINE_list("beside", ["text", "shuffled"], "Variants to train too.")
  flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Of models.")
  flags.DEFINE_string("data_dir", "runs/quickstart/data", "The dataset.")
  flags.DEFINE_string("workdir", "runs/seeds", "Folder of the runs.")


if __name__ == "__main__":
  _define_flags()
  app.run(main, compiles=True)
