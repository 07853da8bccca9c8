r"""Table 1: what becomes of a run's scores when its pictures are changed.

    python -m ifa_jax.analyze shuffle --workdir=runs/objects \
        --beside=runs/shuffled,runs/text

The run's best checkpoint scores the test split as it is (standard), with the
visual bundles of the rows permuted (shuffle(test), several seeds) and with
every picture masked (blank). Runs beside it are scored as they are: one trained
with `data.visual_shuffle_seed` is the table's shuffle(train). Text, labels and
order of the rows always stay. Writes `shuffle.json` and `shuffle.md` into the
run's folder.
"""

import statistics
from collections.abc import Sequence
from typing import Any

from absl import flags

from ifa_jax import evaluate, experiment, report
from ifa_jax.checkpoint import Checkpoints
from ifa_jax.data import order
from ifa_jax.run_folder import RunFolder

SCORES = ("accuracy", "precision", "recall", "f1")


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("workdir", None, "A finished run's folder.")
  flags.DEFINE_list("beside", [], "Finished runs to show in the same table.")
  flags.DEFINE_integer(
    "num_seeds", 5, "Permutations of shuffle(test).", lower_bound=1
  )
  flags.mark_flag_as_required("workdir")


def main(_) -> None:
  """Runs the command."""
  folder = RunFolder(flags.FLAGS.workdir)
  built = experiment.build(folder.read_record()["config"])
  rows = shuffle_table(built, folder, flags.FLAGS.num_seeds)
  for beside in flags.FLAGS.beside:
    rows.append(beside_row(RunFolder(beside), built))
  title = f"Visual shuffle of {folder.path}, {built.num_rows('test')} test rows"
  columns = ("pictures", "accuracy", "precision", "recall", "F1")
  cells = [[row["condition"], *map(_cell, row["scores"])] for row in rows]
  note = f"{title}\nprotocol: {built.protocol}"
  report.print_table(report.make_table(note, columns, cells))
  folder.write_json("shuffle.json", {"protocol": built.protocol, "rows": rows})
  folder.write_text("shuffle.md", report.markdown_table(note, columns, cells))
  print(f"written to {folder.file('shuffle.md')} and shuffle.json")


def shuffle_table(
  built: experiment.Experiment, folder: RunFolder, num_seeds: int
) -> list[dict[str, Any]]:
  """Scores a run's test split under each condition.

  Returns:
    A row for each condition: its name, `seeds`, and under `scores` a list of
    values for each of `SCORES`, one a seed.

  Raises:
    ValueError: if the folder holds no finished run.
  """
  split = built.split("test")
  evaluator = evaluate.Evaluator(built)
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    params = evaluate.load_best(built, checkpoints).params

  def score(visual_rows=None, **options):
    predictions = evaluator.predict(params, split, visual_rows, **options)
    scores = evaluate.score(built, predictions)
    return [scores[name] for name in SCORES]

  seeds = list(range(num_seeds))
  shuffled = [score(order.visual_shuffle(len(split), seed)) for seed in seeds]
  return [
    _row("standard", [score()]),
    _row("shuffle(test)", shuffled, seeds),
    _row("blank", [score(change=evaluate.blank_pictures)]),
  ]


def _row(
  condition: str,
  scores: Sequence[Sequence[float]],
  seeds: Sequence[int] = (),
) -> dict[str, Any]:
  by_score = [list(values) for values in zip(*scores, strict=True)]
  return {"condition": condition, "seeds": list(seeds), "scores": by_score}


def beside_row(
  folder: RunFolder, built: experiment.Experiment
) -> dict[str, Any]:
  """Returns the row of another run's own test scores.

  Raises:
    ValueError: if it is not finished, or was scored on other data.
  """
  scores, record = folder.read_json("eval_test.json"), folder.read_record()
  if scores is None:
    raise ValueError(
      f"{folder.path}: want a finished run, found no test scores"
    )
  theirs = record["dataset"]["sources"], scores["protocol"], scores["n"]
  ours = built.prepared.metadata["sources"], built.protocol
  if theirs != (*ours, built.num_rows("test")):
    raise ValueError(
      f"{folder.path}: want a run on the data of {built.prepared.folder}"
      f" (protocol {built.protocol}), found one on other data (protocol"
      f" {scores['protocol']})"
    )
  return _row(_describe(record["config"]), [[scores[name] for name in SCORES]])


def _describe(config: dict[str, Any]) -> str:
  if config["model"]["vision"] is None:
    return "text only, another run"
  if config["data"]["visual_shuffle_seed"] is not None:
    return "shuffle(train), another run"
  return "standard, another run"


def _cell(values: Sequence[float]) -> str:
  """Returns "81.67", or "29.52 ± 0.71": mean and deviation over seeds."""
  mean = report.percent(statistics.fmean(values))
  if len(values) == 1:
    return mean
  return f"{mean} ± {report.percent(statistics.stdev(values))}"
