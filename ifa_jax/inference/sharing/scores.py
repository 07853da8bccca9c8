"""Dev and test scores of a run with 95 % bootstrap intervals over posts."""

import functools
import os
from typing import Any

import numpy as np

from ifa_jax.statistics import bootstrap, paired, predictions
from ifa_jax.statistics.systems import PredictedSystem
from ifa_jax.workdir.run_folder import RunFolder

SPLITS = ("dev", "test")


def of_run(folder: RunFolder, step: int) -> dict[str, Any]:
  """Returns split -> scores, for the splits that the run has evaluated.

  Scores are `n` rows; `accuracy`, `precision`, `recall` and `f1` as fractions
  [value, low, high] with their intervals; and `visual_source`, if any.

  Args:
    folder: the run's.
    step: of the checkpoint; the scores must be its own.

  Raises:
    ValueError: if scores are damaged, or those of another checkpoint.
  """
  return {
    split: _of_split(folder, split, step)
    for split in SPLITS
    if os.path.exists(folder.file(f"eval_{split}.json"))
  }


def _of_split(folder: RunFolder, split: str, step: int) -> dict[str, Any]:
  seed = predictions.read(folder.path, split)
  written: Any = folder.read_json(f"eval_{split}.json")
  if written.get("step") != step:
    raise ValueError(
      f"{folder.file(f'eval_{split}.json')}: expected scores of the checkpoint"
      f" at step {step}, got step {written.get('step')}; score it again:"
      f" python launch.py --mode=evaluate --split={split}"
      f" --workdir={folder.path}"
    )
  rows = paired.align([PredictedSystem(split, (seed,))])
  source = written.get("visual_source")
  return {
    "n": len(rows.gold),
    **_intervals(rows.gold, rows.predicted[0], rows.posts),
    **({} if source is None else {"visual_source": source}),
  }


def _intervals(
  gold: np.ndarray, predicted: np.ndarray, posts: np.ndarray
) -> dict[str, list[float]]:
  """Returns score -> [value, low, high].

  Args:
    gold: int[n] relation ids.
    predicted: int[1, n] relation ids.
    posts: int[n], see `bootstrap.number_posts`.
  """
  statistic = functools.partial(
    bootstrap.mean_scores, bootstrap.row_counts(gold, predicted)
  )
  values = statistic(np.ones(len(gold)))
  low = high = values
  # With a single post, all resamples are equal.
  if posts.any():
    low, high, _ = bootstrap.interval(statistic, posts)
  return {
    name: [float(values[i]), float(low[i]), float(high[i])]
    for i, name in enumerate(bootstrap.SCORES)
  }
