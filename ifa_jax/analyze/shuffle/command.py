r"""Table 1: what becomes of a run's scores when its pictures are changed.

    python -m ifa_jax.analyze shuffle --workdir=runs/objects \
        --beside=runs/shuffled,runs/text

The run's best checkpoint scores the test split as it is (standard), with the
visual bundles of the rows permuted (shuffle(test), several seeds) and with
every picture masked (blank). Runs beside it are scored as they are: one trained
with `data.visual_shuffle_seed` is the table's shuffle(train), which
`--shuffle_train=SEED` trains first, from the run's own config. Text, labels and
order of the rows always stay.

    --keep=count    adds a shuffle among rows with as many pictures and objects:
                    what it costs is in what they show, not in their number
    --unit=image    adds one that moves pictures, not rows: rows of one post go
                    on sharing theirs

A permutation leaves as few rows with their own picture as can be; their share
is in the table.

Scores carry 95 % bootstrap intervals over posts and permutations, given the
weights of each run; differences to standard are paired. Writes `shuffle.json`
and `shuffle.md` into the run's folder.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from ifa_jax.analyze.shuffle import conditions
from ifa_jax.cli import tables
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.sampling import Shuffle
from ifa_jax.statistics import bootstrap
from ifa_jax.training import experiment
from ifa_jax.training.config import run_record
from ifa_jax.training.epochs import pictures
from ifa_jax.workdir.run_folder import RunFolder

COMPILES = True

COLUMNS = (
  "pictures",
  "own, %",
  "accuracy",
  "precision",
  "recall",
  "F1",
  "F1, 95 %",
  "F1 - standard, 95 %",
)


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("workdir", None, "A finished run's folder.")
  flags.DEFINE_list("beside", [], "Finished runs to show in the same table.")
  flags.DEFINE_integer(
    "shuffle_train",
    None,
    "Train the run's config on pictures shuffled by this seed, inside its"
    " folder, and show it beside.",
  )
  flags.DEFINE_integer(
    "num_seeds", 5, "Permutations of shuffle(test).", lower_bound=1
  )
  flags.DEFINE_enum(
    "unit", "row", sampling.UNITS, "What another shuffle moves."
  )
  flags.DEFINE_enum("keep", "nothing", sampling.KEEPS, "What it leaves.")
  flags.mark_flag_as_required("workdir")


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  folder = RunFolder(values.workdir)
  built = experiment.build(run_record.read(folder), folder)
  others = [RunFolder(path) for path in values.beside]
  if values.shuffle_train is not None:
    others.insert(
      0, conditions.train_shuffled(built, folder, values.shuffle_train)
    )
  shuffles = dict.fromkeys([Shuffle(), Shuffle(values.unit, values.keep)])
  table = shuffle_table(built, folder, [*shuffles], values.num_seeds, others)
  _show(table, folder)


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
    Plain values: `run`, `protocol`, `split`, `n`, `posts` that the n rows are
    of, and under `rows` what `conditions.summarise` returns.

  Raises:
    ValueError: if a folder holds no finished run, or one on other data.
  """
  gold, found = conditions.predict(built, folder, shuffles, num_seeds)
  found += [conditions.beside(other, built, gold) for other in others]
  posts = bootstrap.number_posts(pictures(built.data.split("test")))
  return {
    "run": folder.path,
    "protocol": built.prepared.protocol,
    "split": "test",
    "n": len(gold),
    "posts": int(posts.max()) + 1,
    "rows": conditions.summarise(gold, found, posts),
  }


def _show(table: Mapping[str, Any], folder: RunFolder) -> None:
  """Prints a table and writes it as JSON and Markdown."""
  note = (
    f"Visual shuffle of {table['run']}\nprotocol: {table['protocol']},"
    f" {table['n']} test rows of {table['posts']} posts; intervals by posts and"
    " permutations, given these weights"
  )
  cells = [_cells(row) for row in table["rows"]]
  tables.print_table(tables.make_table(note, COLUMNS, cells))
  folder.write_json("shuffle.json", table)
  folder.write_text("shuffle.md", tables.markdown_table(note, COLUMNS, cells))
  print(f"written to {folder.file('shuffle.md')} and shuffle.json")


def _cells(row: Mapping[str, Any]) -> list[str]:
  """Returns a condition's line of the table."""
  scores = row["scores"]
  others = [
    tables.percent(scores[name]["mean"])
    for name in ("accuracy", "precision", "recall")
  ]
  difference = ""
  if "minus_standard" in row:
    apart = row["minus_standard"]["f1"]
    difference = f"{_percent(apart['mean'], '+')} {_interval(apart)}"
  f1, own = scores["f1"], row["own_pictures"]
  return [
    row["condition"],
    "" if own is None else tables.percent(own),
    *others,
    _mean(f1["by_seed"]),
    _interval(f1),
    difference,
  ]


def _mean(values: Sequence[float]) -> str:
  """Returns "81.67", or "29.52 ± 0.71": mean and deviation over seeds."""
  mean = tables.percent(statistics.fmean(values))
  if len(values) == 1:
    return mean
  return f"{mean} ± {tables.percent(statistics.stdev(values))}"


def _interval(bounds: Mapping[str, float]) -> str:
  return f"[{_percent(bounds['low'])}, {_percent(bounds['high'])}]"


def _percent(fraction: float, sign: str = "-") -> str:
  """Returns -0.5 as "-50.00", and a rounded 0 without a minus."""
  return f"{round(100 * fraction, 2) + 0.0:{sign}.2f}"
