r"""Throughput of `ifa_jax.predict`, compared with an evaluation.

    python -m benchmarks.throughput --workdir=runs/quickstart/objects \
        --raw_dir=runs/quickstart/raw

Both predict the same rows with the same run, in turn: `--mode=evaluate` reads
prepared squares and writes scores and predictions; `predict` reads a file of
posts, decodes their pictures, cuts and resizes them. Loading and compiling are
not timed. The run's dataset must be prepared from this tree and these boxes,
with protocol clean or none.
"""

import dataclasses
import functools
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np

from benchmarks import harness, photo_tree
from ifa_jax import benchmark, predict
from ifa_jax.cli.settings_flags import setting
from ifa_jax.inference.predictor import Predictor
from ifa_jax.training import evaluation, experiment
from ifa_jax.training.config import run_record
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

_SPLIT = "test"


@dataclasses.dataclass(frozen=True)
class Settings:
  """Flags of the command."""

  workdir: str = setting("Folder of a finished run.")
  raw_dir: str = setting("Raw tree of the run's dataset.")
  boxes: str | None = setting("Boxes file; default: in --raw_dir.", None)
  batch_size: int = setting("Posts per batch.", 64, least=1)
  rounds: int = setting("Measurements of each.", 5, least=1)
  out: str | None = setting("JSON file to write.", None)


def make_runs(
  settings: Settings, folder: str
) -> tuple[int, dict[str, Callable[[], None]]]:
  """Loads the run twice; `folder` gets the posts and all results.

  Returns:
    The number of rows, and functions that `evaluate` and `predict` them.

  Raises:
    ValueError: if tree and dataset differ in their number of rows.
  """
  posts = list(photo_tree.read_posts(settings.raw_dir, settings.boxes))
  run = RunFolder(settings.workdir)
  built = experiment.build(run_record.read(run), run)
  split = built.data.split(_SPLIT)
  if len(posts) != len(split):
    raise ValueError(
      f"--raw_dir: expected the {len(split)} rows of the run's {_SPLIT} split,"
      f" got {len(posts)}"
    )
  with Checkpoints(run.file("checkpoints")) as checkpoints:
    best = evaluation.load_best(built, checkpoints)
  evaluator, predictor = evaluation.Evaluator(built), Predictor(run.path)
  scored = RunFolder(folder)
  scored.write_lines("posts.jsonl", posts)

  def evaluate():
    found = evaluator.predict(best.params, split)
    evaluation.write(built, scored, _SPLIT, found, best.step)

  def predict_file():
    source, target = map(scored.file, ("posts.jsonl", "predicted.jsonl"))
    predict.predict_file(predictor, source, target, settings.batch_size)

  return len(posts), {"evaluate": evaluate, "predict": predict_file}


def main(settings: Settings) -> None:
  """Runs the command."""

  def seconds_of(run):
    began = time.perf_counter()
    run()
    return time.perf_counter() - began

  with tempfile.TemporaryDirectory() as folder:
    num_posts, runs = make_runs(settings, folder)
    timed = {name: functools.partial(seconds_of, f) for name, f in runs.items()}
    # The first round compiles.
    benchmark.take_turns(runs, 1)
    seconds = benchmark.take_turns(timed, settings.rounds)
  rows = [
    [
      name,
      harness.spread(np.divide(num_posts, found).tolist(), 1),
      f"{statistics.median(np.divide(seconds['evaluate'], found)):.2f}",
    ]
    for name, found in seconds.items()
  ]
  title = f"{num_posts} posts of {settings.raw_dir}, {settings.rounds} rounds"
  columns = ("", "posts/s", "relative to evaluate")
  found = {"num_posts": num_posts, "seconds": seconds}
  harness.report(title, columns, rows, found, settings.out)


if __name__ == "__main__":
  harness.run(main, Settings)
