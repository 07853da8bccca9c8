r"""Figure 1 claims that objects mislead: repeated, incorrect, general ones.

    python -m ifa_jax.analyze objects --workdir=runs/objects

counts the objects of a run's test split that repeat another one of their row:
the same label where labels are known, or boxes whose intersection over union
is above --overlap where boxes are known. It compares their share of the words'
attention with their share of the number, and scores the split with its objects
dropped (all, or the repeats), doubled, exchanged for those of another row, and,
for models that read labels, mislabelled. Text and whole picture never change.

Objects are the crops that a model of pixels reads, or the regions of scenes.
Dropped objects leave no gap between the others. An exchange gives each row the
objects of another picture, in several permutations, as `analyze shuffle` does.
The structural alignment of MEGA moves with the objects and is not computed
again, but for an exchange.

Scores have 95 % bootstrap intervals over posts and permutations, given the
run's weights; differences from standard are paired. Writes `objects.json`,
`objects.md` and a folder `objects` with the predictions of each condition.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from absl import flags

from ifa_jax.analyze import tables
from ifa_jax.analyze.objects import attention, found, labels
from ifa_jax.analyze.objects.conditions import Changed, Conditions
from ifa_jax.analyze.objects.found import Objects
from ifa_jax.analyze.shuffle import summary
from ifa_jax.analyze.shuffle.conditions import Condition
from ifa_jax.cli import tables as report
from ifa_jax.statistics import bootstrap
from ifa_jax.training import evaluation, experiment, recorded_inputs
from ifa_jax.training.epochs import pictures
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

COMPILES = True

_SPLIT = "test"
# All are in the JSON file.
_FEW_MAPS = 3
COLUMNS = ("objects", "rows changed, %", "accuracy", "precision", "recall")
COLUMNS += ("F1", "F1, 95 %", "F1 - standard, 95 %")


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("workdir", None, "A finished run's folder.")
  flags.DEFINE_float(
    "overlap",
    0.7,
    "Boxes repeat each other if their intersection over union is above this.",
    lower_bound=0.0,
    upper_bound=1.0,
  )
  flags.DEFINE_integer(
    "num_seeds", 5, "Permutations of exchanged objects.", lower_bound=1
  )
  flags.mark_flag_as_required("workdir")


def main(_) -> None:
  """Runs the command."""
  values = flags.FLAGS
  folder = RunFolder(values.workdir)
  built = recorded_inputs.open_run(folder)
  table = objects_table(built, folder, values.overlap, values.num_seeds)
  note = (
    f"Objects of {table['run']}\nprotocol: {table['protocol']}, {table['n']}"
    f" test rows of {table['posts']} posts; intervals by posts and"
    " permutations, given these weights"
  )
  cells = _cells(table)
  report.print_table(report.make_table(note, COLUMNS, cells))
  lines = [*_lines(table)]
  print("\n".join(lines))
  folder.write_json("objects.json", table)
  listed = "\n".join(f"- {line}" for line in lines)
  text = report.markdown_table(note, COLUMNS, cells)
  folder.write_text("objects.md", f"{text.rstrip()}\n\n{listed}\n")
  print(f"written to {folder.file('objects.md')}, objects.json and objects/")


def _cells(table: Mapping[str, Any]) -> list[list[str]]:
  """Returns a line for each condition; the first changes no row."""
  return [
    summary.cells(row, row["changed"] if "minus_standard" in row else None)
    for row in table["rows"]
  ]


def objects_table(
  built: experiment.Experiment,
  folder: RunFolder,
  overlap: float = 0.7,
  num_seeds: int = 5,
) -> dict[str, Any]:
  """Scores a run's test split with changed objects; writes the predictions.

  Args:
    built: from the run's own config.
    folder: the run's.
    overlap: see `found.read`.
    num_seeds: permutations of the exchanged objects.

  Returns:
    Plain values: `run`, `protocol`, `split`, `n` rows, their `posts`,
    `objects` (`count`), `attention` (`attention.of_repeats`), and under `rows`
    the result of `shuffle.summary.summarise` with `changed`, the share of
    rows whose objects change.

  Raises:
    ValueError: if the run is not finished, or its model reads no objects.
  """
  split = built.data.split(_SPLIT)
  try:
    objects = found.read(built, split, overlap)
  except ValueError as error:
    raise ValueError(f"{folder.path}: {error}") from None
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    best = evaluation.load_best(built, checkpoints)
  every = [*Conditions(built, best.params, split).all(objects, num_seeds)]
  _write_predictions(built, folder, every, best.step)
  posts = bootstrap.number_posts(pictures(split))
  return {
    "run": folder.path,
    "protocol": built.prepared.protocol,
    "split": _SPLIT,
    "n": len(split),
    "posts": int(posts.max()) + 1,
    "overlap": overlap,
    "objects": count(objects),
    "reads_labels": labels.are_read(built, split),
    "attention": attention.of_repeats(built, folder, split, objects),
    "rows": _summarise(every, posts),
  }


def count(objects: Objects) -> dict[str, int]:
  """Counts the objects of all rows; rows of a picture count separately."""
  items = [item for row in objects.rows for item in row]
  repeats = [*objects.repeats.values()]
  return {
    "objects": len(items),
    "with_box": sum(item.box is not None for item in items),
    "with_label": sum(bool(item.label) for item in items),
    "rows_with_objects": sum(bool(row) for row in objects.rows),
    "repeats": int(sum(flags.sum() for flags in repeats)),
    "rows_with_repeats": int(
      np.any([flags.any(axis=1) for flags in repeats], axis=0).sum()
    ),
  }


def _summarise(every: list[Changed], posts: np.ndarray) -> list[dict[str, Any]]:
  gold = every[0].predictions[0].gold
  as_shuffled = [
    Condition(one.name, one.predicted[None], one.seeds) for one in every
  ]
  rows = summary.summarise(gold, as_shuffled, posts)
  return [
    {k: v for k, v in row.items() if k != "own_pictures"}
    | {"changed": one.changed}
    for row, one in zip(rows, every, strict=True)
  ]


def _write_predictions(
  built: experiment.Experiment,
  folder: RunFolder,
  every: list[Changed],
  step: int,
) -> None:
  """Writes the files of `evaluation.write`, a folder for each condition."""
  # An earlier command may have had more permutations.
  shutil.rmtree(folder.file("objects"), ignore_errors=True)
  for one in every:
    name = one.name.replace(" ", "_")
    names = [f"{name}_{seed}" for seed in one.seeds] or [name]
    for name, predictions in zip(names, one.predictions, strict=True):
      inside = RunFolder(folder.file(f"objects/{name}"))
      os.makedirs(inside.path, exist_ok=True)
      evaluation.write(built, inside, _SPLIT, predictions, step)


def _lines(table: Mapping[str, Any]) -> Iterator[str]:
  """Yields the counts and the attention in words."""
  counts, drawn = table["objects"], table["attention"]
  yield (
    f"{counts['objects']} objects in {counts['rows_with_objects']} of"
    f" {table['n']} rows; boxes of {counts['with_box']} and labels of"
    f" {counts['with_label']} are known"
  )
  share = report.percent(counts["repeats"] / counts["objects"])
  yield (
    f"{counts['repeats']} ({share} %) repeat an earlier object of their row, in"
    f" {counts['rows_with_repeats']} rows: same label, or boxes that overlap by"
    f" more than {table['overlap']}"
  )
  if "missing" in drawn:
    yield f"attention to repeats is left out: {drawn['missing']}"
  else:
    yield from _attention(drawn)
  if not table["reads_labels"]:
    yield labels.NOT_READ


def _attention(drawn: Mapping[str, Any]) -> Iterator[str]:
  """Yields a line for the first map, and for others if they are few."""
  number = drawn["of_number"]
  yield (
    f"attention in {drawn['rows']} rows with repeats, which are"
    f" {report.percent(number)} % of the objects there and draw this share of"
    " the words' attention to objects (difference):"
  )
  most = len(drawn["maps"]) if len(drawn["maps"]) <= _FEW_MAPS else 1
  for title, one in [*drawn["maps"].items()][:most]:
    apart = report.percent(one["of_attention"] - number, "+")
    yield (
      f"{title}: {report.percent(one['of_attention'])} %"
      f" ({apart} {tables.interval(one)})"
    )
