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


def mcnemar(advantages: np.ndarray) -> float:
  """Returns the p value of McNemar's exact test, by posts.

  Rows of one post are not independent, so posts are what changes sides: under
  the hypothesis, a post on which one model is right k times more often is as
  likely to be the one's as the other's. That is the sign-flip permutation test
  (Fisher 1935, The Design of Experiments, section 21; for clustered pairs,
  Eliasziw and Donner 1991, Statistics in Medicine 10, 1981-1991), of all flips.
  Where no k is above 1 it is McNemar's test itself.

  Args:
    advantages: int[posts], rows on which the first alone is right, less those
      on which the second alone is.
  """
  sizes, posts = np.unique(abs(advantages[advantages != 0]), return_counts=True)
  # Of each sum of all signed sizes, the least first.
  chances = np.ones(1)
  for size, number in zip(sizes.tolist(), posts.tolist(), strict=True):
    of_size = np.zeros(2 * size * number + 1)
    heads = np.arange(number + 1)
    of_size[:: 2 * size] = scipy.stats.binom.pmf(heads, number, 0.5)
    chances = np.convolve(chances, of_size)
  most = len(chances) // 2
  as_far = abs(np.arange(-most, most + 1)) >= abs(advantages.sum())
  return min(1.0, float(chances[as_far].sum()))


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
