r"""Table 1: a run's scores when its pictures are changed.

    python -m ifa_jax.analyze shuffle --workdir=runs/objects \
        --beside=runs/shuffled,runs/text

The run's best checkpoint scores the test split unchanged (standard), with the
visual bundles of the rows permuted (shuffle(test), several seeds) and with
every picture masked (blank). Runs in --beside are scored unchanged: one trained
with `data.visual_shuffle_seed` is the table's shuffle(train), which
`--shuffle_train=SEED` trains first, from the run's own config. Text, labels and
order of the rows never change.

    --keep=count    adds a shuffle among rows with as many pictures and objects,
                    which isolates their content from their number
    --unit=image    adds a shuffle of pictures instead of rows: rows of one post
                    continue to share their picture

A permutation leaves as few rows as possible with their own picture; the table
shows their percentage.

Scores have 95 % bootstrap intervals over posts and permutations, given the
weights of each run; differences from standard are paired. Writes `shuffle.json`
and `shuffle.md` into the run's folder.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from ifa_jax.analyze.shuffle import conditions, summary
from ifa_jax.cli import tables as report
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.sampling import Shuffle
from ifa_jax.statistics import bootstrap
from ifa_jax.training import experiment, recorded_inputs
from ifa_jax.training.epochs import pictures
from ifa_jax.workdir.run_folder import RunFolder

COMPILES = True

COLUMNS = ("pictures", "own, %", "accuracy", "precision", "recall", "F1")
COLUMNS += ("F1, 95 %", "F1 - standard, 95 %")


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("workdir", None, "A finished run's folder.")
  flags.DEFINE_list("beside", [], "Finished runs to add to the table.")
  flags.DEFINE_integer(
    "shuffle_train",
    None,
    "Seed of a shuffle to train the run's config on, inside its folder; the new"
    " run is added to the table.",
  )
  flags.DEFINE_integer(
    "num_seeds", 5, "Permutations of shuffle(test).", lower_bound=1
  )
  flags.DEFINE_enum(
    "unit",
    "row",
    sampling.UNITS,
    "image adds a shuffle that moves all rows of a post together.",
  )
  flags.DEFINE_enum(
    "keep",
    "nothing",
    sampling.KEEPS,
    "count adds a shuffle among rows with as many pictures and objects.",
  )
  flags.mark_flag_as_required("workdir")


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  folder = RunFolder(values.workdir)
  built = recorded_inputs.open_run(folder)
  others = [RunFolder(path) for path in values.beside]
  if values.shuffle_train is not None:
    others.insert(
      0, conditions.train_shuffled(built, folder, values.shuffle_train)
    )
  shuffles = dict.fromkeys([Shuffle(), Shuffle(values.unit, values.keep)])
  table = shuffle_table(built, folder, [*shuffles], values.num_seeds, others)
  note = (
    f"Visual shuffle of {table['run']}\nprotocol: {table['protocol']},"
    f" {table['n']} test rows of {table['posts']} posts; intervals by posts and"
    " permutations, given these weights"
  )
  cells = [summary.cells(row, row["own_pictures"]) for row in table["rows"]]
  report.print_table(report.make_table(note, COLUMNS, cells))
  folder.write_json("shuffle.json", table)
  folder.write_text("shuffle.md", report.markdown_table(note, COLUMNS, cells))
  print(f"written to {folder.file('shuffle.md')} and shuffle.json")


def shuffle_table(
  built: experiment.Experiment,
  folder: RunFolder,
  shuffles: Sequence[Shuffle] = (Shuffle(),),
  num_seeds: int = 5,
  others: Sequence[RunFolder] = (),
) -> dict[str, Any]:
  """Scores a run's test split under each condition.

  Args:
    built: from the run's own config.
    folder: the run's.
    shuffles: kinds of shuffle(test).
    num_seeds: permutations of each kind.
    others: finished runs on the same data.

  Returns:
    Plain values: `run`, `protocol`, `split`, `n` rows, their `posts`, and
    under `rows` the result of `summary.summarise`.

  Raises:
    ValueError: if a folder has no finished run, or one on other data.
  """
  gold, found = conditions.predict(built, folder, shuffles, num_seeds)
  found += [conditions.read_run(other, built, gold) for other in others]
  posts = bootstrap.number_posts(pictures(built.data.split("test")))
  return {
    "run": folder.path,
    "protocol": built.prepared.protocol,
    "split": "test",
    "n": len(gold),
    "posts": int(posts.max()) + 1,
    "rows": summary.summarise(gold, found, posts),
  }
