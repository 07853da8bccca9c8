r"""Table 1: variants of one config file under visual shuffles, over seeds.

    python -m ifa_jax.analyze table1 --config=configs/mnre.py \
        --rows=mtb,mega,objects --seeds=1,2,3 --workdir=runs/table1 \
        --set=data.protocol=clean,data.data_dir=data/mnre

Every variant is trained with each seed in WORKDIR/{variant}/seed_{seed}, as by
`table2`, which shares these runs, and once more on shuffled pictures, inside
that folder. The best checkpoint then scores the test split with its pictures,
with those of other rows and with none, see `shuffle`. Finished runs are not
trained again, and a table that was stopped is resumed. A variant that reads no
pictures is trained and scored once: no shuffle changes it.

Scores are means over runs, those of shuffle(test) also over permutations; 95 %
intervals are bootstrapped over posts and runs, and over permutations if there
is one run. Writes `table1.md` and `table1.json` into WORKDIR, and the
predictions of each condition into the runs' folders, for `compare`.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from ifa_jax.analyze.rows import command_flags, configs, runs
from ifa_jax.analyze.rows.runs import Row
from ifa_jax.analyze.shuffle import conditions, summary
from ifa_jax.analyze.shuffle.conditions import Condition
from ifa_jax.analyze.table1 import tables
from ifa_jax.data.pipeline.sampling import Shuffle
from ifa_jax.statistics import bootstrap, metrics
from ifa_jax.training import experiment
from ifa_jax.training.config import run_record
from ifa_jax.training.epochs import pictures
from ifa_jax.workdir.run_folder import RunFolder

COMPILES = True


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  command_flags.define()
  flags.DEFINE_integer(
    "shuffle_train", 0, "Seed of the permutation of training pictures."
  )
  flags.DEFINE_integer(
    "permutations", 5, "Permutations of shuffle(test).", lower_bound=1
  )


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  rows, changes = command_flags.plan(_choose)
  runs.train_all(rows)
  table = table1(rows, values.shuffle_train, values.permutations)
  table |= {"config": values.config, "set": changes}
  tables.show(table)
  folder = RunFolder(values.workdir)
  folder.write_json("table1.json", table)
  folder.write_text("table1.md", tables.markdown(table))
  print(f"written to {folder.file('table1.md')} and table1.json")


def _choose(module: ModuleType) -> list[str]:
  return configs.choose(module, flags.FLAGS.rows, "Table 1")


def table1(
  rows: Sequence[Row], shuffle_train: int = 0, permutations: int = 5
) -> dict[str, Any]:
  """Scores finished runs under each condition; trains those of shuffle(train).

  Args:
    rows: at least one, with finished runs on the same test rows.
    shuffle_train: seed of the permutation of training pictures.
    permutations: of the test split's pictures.

  Returns:
    Plain values: `split`, `n`, `posts`, `num_relations` (test rows that have
    one), and `rows`, each with `variant`, `protocol`, `seeds`, `folders`, and
    under `conditions` the result of `summary.summarise`.

  Raises:
    ValueError: if a run is not finished, or rows differ in their test rows.
  """
  scored = [_score(row, shuffle_train, permutations) for row in rows]
  first = scored[0]
  for row, one in zip(rows, scored, strict=True):
    if not np.array_equal(one.gold, first.gold):
      raise ValueError(
        f"{row.variant}: expected the test rows of {rows[0].variant}, got"
        " others"
      )
  return {
    "split": runs.SPLIT,
    "n": len(first.gold),
    "posts": int(first.posts.max()) + 1,
    "num_relations": int((first.gold != metrics.NONE).sum()),
    "shuffle_train": shuffle_train,
    "rows": [
      {
        "variant": row.variant,
        "protocol": one.protocol,
        "seeds": [*row.folders],
        "folders": [folder.path for folder in row.folders.values()],
        "conditions": summary.summarise(one.gold, one.conditions, one.posts),
      }
      for row, one in zip(rows, scored, strict=True)
    ],
  }


class _Scored(NamedTuple):
  """A row's test split: int[n] relations and posts, and its predictions."""

  protocol: str
  gold: np.ndarray
  posts: np.ndarray
  conditions: list[Condition]


def _score(row: Row, shuffle_train: int, permutations: int) -> _Scored:
  by_run = [
    _score_run(folder, shuffle_train, permutations)
    for folder in row.folders.values()
  ]
  together = conditions.stack([run.conditions for run in by_run])
  return by_run[0]._replace(conditions=together)


def _score_run(
  folder: RunFolder, shuffle_train: int, permutations: int
) -> _Scored:
  built = experiment.build(run_record.read(folder), folder)
  shuffles = [Shuffle()] if built.config.model.sees_pictures else []
  gold, found = conditions.predict(built, folder, shuffles, permutations)
  if shuffles:
    trained = conditions.train_shuffled(built, folder, shuffle_train)
    found.insert(1, conditions.read_run(trained, built, gold))
  else:
    del found[1:]
  posts = bootstrap.number_posts(pictures(built.data.split(runs.SPLIT)))
  return _Scored(built.prepared.protocol, gold, posts, found)
