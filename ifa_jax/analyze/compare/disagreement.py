"""Rows on which systems disagree."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.stats

from ifa_jax.statistics.predictions import Seed
from ifa_jax.statistics.systems import System

_READABLE = ("head", "tail", "text", "img_id")


def count(
  gold: np.ndarray, first: np.ndarray, second: np.ndarray
) -> dict[str, float]:
  """Counts rows by which of two systems is right.

  Args:
    gold: int[n] relation ids.
    first: int[S, n], by S seeds of a system.
    second: int[Z, n], by Z seeds of another.

  Returns:
    Four counts that add up to n, each the mean over all pairs of seeds.
  """
  # A share of seeds each; 0 or 1 for a single seed.
  a, b = (np.mean(x == gold, axis=0) for x in (first, second))
  parts = {
    "both_right": a * b,
    "only_first_right": a * (1 - b),
    "only_second_right": (1 - a) * b,
    "both_wrong": (1 - a) * (1 - b),
  }
  return {name: float(np.sum(part)) for name, part in parts.items()}


def mcnemar(only_first: int, only_second: int) -> float:
  """Returns the p value of McNemar's exact test.

  Under its hypothesis a row on which one model alone is right is as likely to
  be the one's as the other's: the two have the same accuracy.
  """
  total = only_first + only_second
  return (
    float(scipy.stats.binomtest(only_first, total).pvalue) if total else 1.0
  )


def rows(systems: Sequence[System]) -> Iterator[dict[str, Any]]:
  """Yields the rows that not all seeds of all systems label the same.

  Yields:
    `id`, `gold`, under `predictions` a list for each system with `pred`,
    `probability` and `protocol` of each seed, and `head`, `tail`, `text` and
    `img_id` where some file has them. In the order of the first file.
  """
  seeds = [seed for system in systems for seed in system.seeds]
  for row, line in seeds[0].lines.items():
    if len({seed.lines[row]["pred"] for seed in seeds}) > 1:
      predictions = {
        system.name: [_prediction(seed, row) for seed in system.seeds]
        for system in systems
      }
      readable = {
        key: seed.lines[row][key]
        for key in _READABLE
        for seed in reversed(seeds)
        if key in seed.lines[row]
      }
      known = {"id": row, "gold": line["gold"], "predictions": predictions}
      yield known | readable


def _prediction(seed: Seed, row: str | int) -> dict[str, Any]:
  line = seed.lines[row]
  return {
    "pred": line["pred"],
    "probability": line.get("probability"),
    "protocol": seed.protocol,
  }
