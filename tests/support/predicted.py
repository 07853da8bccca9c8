"""Files of generated predictions."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

RELATIONS = [
  "None",
  "/per/org/member_of",
  "/per/per/couple",
  "/loc/loc/contain",
]


def lines(
  gold: Sequence[str], pred: Sequence[str], **same: Any
) -> list[dict[str, Any]]:
  """Returns a line for each row; all of them contain `same`."""
  return [
    {"id": f"test/{i}", "gold": g, "pred": p, **same}
    for i, (g, p) in enumerate(zip(gold, pred, strict=True))
  ]


def write(path: pathlib.Path, values: Sequence[Any]) -> str:
  """Writes JSON lines and returns the file's name."""
  path.write_text("".join(json.dumps(value) + "\n" for value in values))
  return str(path)


def random_names(
  num_rows: int, seed: int, gold: Sequence[str] = (), right: float = 0.0
) -> list[str]:
  """Returns names of relations, those of `gold` with chance `right`."""
  rng = np.random.default_rng(seed)
  names = rng.choice(RELATIONS, num_rows, p=[0.5, 0.3, 0.15, 0.05]).tolist()
  if not gold:
    return names
  kept = rng.random(num_rows) < right
  return [g if k else n for g, n, k in zip(gold, names, kept, strict=True)]


def write_run(
  folder: pathlib.Path, values: Sequence[dict[str, Any]], **scores: Any
) -> str:
  """Writes a run's folder with its test predictions; returns its name."""
  folder.mkdir()
  write(folder / "predictions_test.jsonl", values)
  right = sum(value["gold"] == value["pred"] for value in values)
  scores = {"n": len(values), "accuracy": right / len(values)} | scores
  (folder / "eval_test.json").write_text(json.dumps(scores))
  return str(folder)
