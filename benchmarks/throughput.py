r"""Posts a second of `ifa_jax.predict` against those of an evaluation.

    python -m benchmarks.throughput --workdir=runs/quickstart/objects \
        --raw_dir=runs/quickstart/raw --boxes=runs/quickstart/raw/boxes.json

Both give the probabilities of the same rows with the same run, in turn:
`--mode=evaluate` reads prepared squares and writes scores and predictions,
`predict` reads a file of posts, decodes their pictures, cuts and resizes them.
Loading and compiling come before. The rows' pictures must all be there, and
their crops be those of the boxes file: a run on protocol clean or none.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from absl import flags

from ifa_jax import benchmark, predict
from ifa_jax.cli import app, progress, tables
from ifa_jax.data.mnre import crops, tree
from ifa_jax.inference.predictor import Predictor
from ifa_jax.training import evaluation, experiment
from ifa_jax.training.config import run_record
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

_SPLIT = "test"


def read_posts(raw_dir: str, boxes: str | None) -> Iterator[dict[str, Any]]:
  """Yields the rows of a tree's test split as posts of one's own.

  Args:
    raw_dir: a tree as published.
    boxes: a boxes file, or None for posts without objects.
  """
  listed = {}
  if boxes is not None:
    with open(boxes, encoding="utf-8") as file:
      listed = json.load(file)
  pictures = crops.Pictures(raw_dir)
  for row in tree.read_rows(raw_dir, _SPLIT, tree.read_relations(raw_dir)):
    yield {
      "id": f"{row.split}/{row.line}",
      "text": list(row.words),
      "head_span": row.head,
      "tail_span": row.tail,
      "image": pictures.find(row),
      "boxes": listed.get(row.img_id, []),
    }


class Evaluation:
  """A run's evaluation of its test split, files included."""

  def __init__(self, workdir: str, out: str):
    """Loads the run; its files go to the folder `out`."""
    folder = RunFolder(workdir)
    self._built = experiment.build(run_record.read(folder), folder)
    with Checkpoints(folder.file("checkpoints")) as checkpoints:
      self._best = evaluation.load_best(self._built, checkpoints)
    self._evaluator = evaluation.Evaluator(self._built)
    self._out = RunFolder(out)

  def __call__(self) -> None:
    """Evaluates once."""
    split = self._built.data.split(_SPLIT)
    found = self._evaluator.predict(self._best.params, split)
    evaluation.write(self._built, self._out, _SPLIT, found, self._best.step)


def measure(
  turns: dict[str, Callable[[], Any]], rounds: int
) -> dict[str, list[float]]:
  """Returns the seconds of each turn in each round; the first is not timed."""
  for run in turns.values():
    run()
  seconds: dict[str, list[float]] = {name: [] for name in turns}
  for _ in progress.bar(range(rounds), "rounds", unit=" rounds"):
    for name, run in turns.items():
      began = time.perf_counter()
      run()
      seconds[name].append(time.perf_counter() - began)
  return seconds


def largest_gap(predictions: str, evaluated: str) -> float:
  """Returns by how much two files' probabilities of the same rows differ.

  Raises:
    ValueError: if they are not of the same rows.
  """
  found, wanted = map(_read_lines, (predictions, evaluated))
  ids = [[line["id"] for line in lines] for lines in (found, wanted)]
  if ids[0] != ids[1]:
    raise ValueError(
      f"--raw_dir: want the {len(wanted)} rows of the run's test split, found"
      f" {len(found)} others"
    )
  if broken := [line for line in found if "error" in line]:
    raise ValueError(
      f"--raw_dir: want rows that can be read, found {broken[0]['id']}:"
      f" {broken[0]['error']}"
    )
  values = [
    [list(line["probabilities"].values()) for line in lines]
    for lines in (found, wanted)
  ]
  return float(np.abs(np.subtract(*values)).max())


def _read_lines(path: str) -> list[dict[str, Any]]:
  with open(path, encoding="utf-8") as file:
    return [json.loads(line) for line in file]


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("workdir", None, "A finished run's folder.")
  flags.DEFINE_string("raw_dir", None, "The tree that its data come from.")
  flags.DEFINE_string("boxes", None, "Boxes file that its data come from.")
  flags.DEFINE_integer("batch_size", 64, "Posts at a time.", lower_bound=1)
  flags.DEFINE_integer("rounds", 5, "Turns of each.", lower_bound=1)
  flags.DEFINE_string("out", None, "JSON file to write.")
  flags.mark_flags_as_required(["workdir", "raw_dir"])


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  posts = list(read_posts(values.raw_dir, values.boxes))
  with tempfile.TemporaryDirectory() as folder:
    source, target = (os.path.join(folder, n) for n in ("in.jsonl", "out"))
    RunFolder(folder).write_lines("in.jsonl", posts)
    predictor = Predictor(values.workdir)
    turns = {
      "evaluate": Evaluation(values.workdir, folder),
      "predict": lambda: predict.predict_file(
        predictor, source, target, values.batch_size
      ),
    }
    seconds = measure(turns, values.rounds)
    gap = largest_gap(
      target, os.path.join(folder, f"predictions_{_SPLIT}.jsonl")
    )
  _show(values, len(posts), seconds, gap)


def _show(
  values: Any, num_posts: int, seconds: dict[str, list[float]], gap: float
) -> None:
  """Prints the table and writes the file, if one is asked for."""
  machine = benchmark.describe_machine()
  first = seconds["evaluate"]
  cells = [
    [
      name,
      f"{num_posts / statistics.median(found):.1f}",
      f"{num_posts / max(found):.1f} - {num_posts / min(found):.1f}",
      f"{statistics.median(np.divide(first, found)):.2f}",
    ]
    for name, found in seconds.items()
  ]
  title = (
    f"{num_posts} posts of {values.raw_dir}, {values.rounds} rounds\non"
    f" {machine['device']} ({machine['backend']}); probabilities differ by"
    f" {gap:.0e} at most"
  )
  columns = ("", "posts/s", "lowest - highest", "of evaluate")
  tables.print_table(tables.make_table(title, columns, cells))
  if values.out:
    found = {"num_posts": num_posts, "seconds": seconds, "largest_gap": gap}
    tables.write_json(values.out, {"machine": machine, **found})


if __name__ == "__main__":
  _define_flags()
  app.run(main)
