"""Rows on which systems disagree."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.stats

from ifa_jax.statistics.systems import PredictedSystem

_READABLE = ("head", "tail", "text", "img_id")


def count(
  gold: np.ndarray, first: np.ndarray, second: np.ndarray
) -> dict[str, float]:
  """Counts rows, int[n], by the systems that are right.

  Args:
    gold: relation ids.
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
  """Returns the p value of McNemar's exact test of equal accuracy, by posts.

  Rows of one post are not independent, so whole posts are exchanged: under the
  hypothesis, a post with k more rows right by one model is as likely to have
  them right by the other. That is the sign-flip permutation test (Fisher 1935,
  The Design of Experiments, section 21; for clustered pairs, Eliasziw and
  Donner 1991, Statistics in Medicine 10, 1981-1991), with all flips. Where no k
  exceeds 1 it is McNemar's test itself.

  Args:
    advantages: int[posts], rows that only the first system labels right, less
      those that only the second does.
  """
  sizes, posts = np.unique(abs(advantages[advantages != 0]), return_counts=True)
  # Probability of each sum of all signed sizes, ascending.
  chances = np.ones(1)
  for size, number in zip(sizes.tolist(), posts.tolist(), strict=True):
    of_size = np.zeros(2 * size * number + 1)
    heads = np.arange(number + 1)
    of_size[:: 2 * size] = scipy.stats.binom.pmf(heads, number, 0.5)
    chances = np.convolve(chances, of_size)
  most = len(chances) // 2
  as_far = abs(np.arange(-most, most + 1)) >= abs(advantages.sum())
  return min(1.0, float(chances[as_far].sum()))


def rows(systems: Sequence[PredictedSystem]) -> Iterator[dict[str, Any]]:
  """Yields the rows that not all seeds of all systems label the same.

  Yields:
    `id`, `gold`, under `predictions` a list for each system with `pred`,
    `probability` and `protocol` of each seed, and `head`, `tail`, `text` and
    `img_id` where some file has them. In the order of the first file.
  """
  seeds = [seed for system in systems for seed in system.seeds]
  for row, line in seeds[0].lines.items():
    if len({seed.lines[row]["pred"] for seed in seeds}) == 1:
      continue
    predictions = {
      system.name: [
        {
          "pred": seed.lines[row]["pred"],
          "probability": seed.lines[row].get("probability"),
          "protocol": seed.protocol,
        }
        for seed in system.seeds
      ]
      for system in systems
    }
    readable = {
      key: seed.lines[row][key]
      for key in _READABLE
      for seed in reversed(seeds)
      if key in seed.lines[row]
    }
    found = {"id": row, "gold": line["gold"], "predictions": predictions}
    yield found | readable
