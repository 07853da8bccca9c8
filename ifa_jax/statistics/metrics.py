"""Scores of a split, from relation ids.

Id 0 is "None", the absence of a relation. 0/0 counts as 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

NONE = 0


def ratio(part: float, whole: float) -> float:
  """Returns part / whole, and 0 for 0/0."""
  return float(part) / float(whole) if whole else 0.0


def f1_score(right: float, predicted: float, gold: float) -> dict[str, float]:
  """Returns precision, recall and F1 from three counts of rows."""
  return {
    "precision": ratio(right, predicted),
    "recall": ratio(right, gold),
    "f1": ratio(2 * right, predicted + gold),
  }


def micro_f1(gold: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
  """Returns micro precision, recall and F1 of int[n] relation ids."""
  right = np.sum((gold == predicted) & (gold != NONE))
  return f1_score(right, np.sum(predicted != NONE), np.sum(gold != NONE))


def score(
  gold: np.ndarray, predicted: np.ndarray, relations: Sequence[str]
) -> dict[str, Any]:
  """Returns all scores of a split as plain values, fractions in [0, 1].

  `n`, `accuracy`, and micro `precision`, `recall`, `f1`; `macro_f1` over
  relations that occur; the task's two halves, `finding` (a relation or none)
  and `naming` (accuracy among relations found); `per_relation` with support;
  `confusion` with a line per gold relation.

  Args:
    gold: int[n] relation ids.
    predicted: int[n] relation ids.
    relations: names by id; the first is "None".
  """
  matrix = np.zeros((len(relations), len(relations)), np.int64)
  np.add.at(matrix, (gold, predicted), 1)
  right, support, guessed = np.diag(matrix), matrix.sum(1), matrix.sum(0)
  per_relation = {
    name: f1_score(right[i], guessed[i], support[i])
    | {"support": int(support[i]), "predicted": int(guessed[i])}
    for i, name in enumerate(relations)
  }
  occurring = [
    x["f1"]
    for i, x in enumerate(per_relation.values())
    if i != NONE and x["support"]
  ]
  found = matrix[1:, 1:].sum()
  return {
    "n": len(gold),
    "accuracy": ratio(right.sum(), len(gold)),
    **micro_f1(gold, predicted),
    "macro_f1": ratio(sum(occurring), len(occurring)),
    "finding": f1_score(found, guessed[1:].sum(), support[1:].sum()),
    "naming": {"accuracy": ratio(right[1:].sum(), found), "n": int(found)},
    "per_relation": per_relation,
    "confusion": matrix.tolist(),
  }
