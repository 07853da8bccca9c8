"""Files of predictions: a run's directory, or JSON lines of any program.

A file has a line per row:

    {"id": "test/1", "gold": "None", "pred": "/per/per/couple",
     "probability": 0.7, "protocol": "clean"}

`id`, `gold` and `pred` are required. Rows with the same `img_id` belong to one
post. The protocol is "unknown" if the file has none.
"""

import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from ifa_jax.files import json_file
from ifa_jax.files.shown import shown
from ifa_jax.workdir.run_folder import RunFolder

NONE = "None"
UNKNOWN = "unknown"

_TYPES = {
  "id": (str | int, "text or an integer"),
  "gold": (str, "text"),
  "pred": (str, "text"),
  "probability": (float | int | None, "a number"),
  "protocol": (str | None, "text"),
  "img_id": (str | int | None, "text or an integer"),
}


class Seed(NamedTuple):
  """The predictions of one model.

  Attributes:
    path: of the run's folder, or of the file.
    protocol: of the evaluation, or "unknown".
    lines: by row, in the file's order.
    counts_only: the scores of guesses without text and picture, if the run has
      them; see `statistics.counts_only`.
  """

  path: str
  protocol: str
  lines: Mapping[str | int, Mapping[str, Any]]
  counts_only: Mapping[str, Any] | None = None


def read(path: str, split: str, none: Collection[str] = (NONE,)) -> Seed:
  """Reads the predictions of one model.

  Args:
    path: of a run's directory or a JSON lines file.
    split: "dev" or "test"; selects the file in a run's directory.
    none: names of the negative class in any case; they become "None".

  Raises:
    ValueError: for an invalid line or an unfinished run; names the file.
  """
  if os.path.isdir(path):
    return _read_run(path, split, none)
  if not os.path.exists(path):
    raise ValueError(
      f"{path}: expected a run's directory or a JSON lines file, got neither"
    )
  return _read_file(path, none)


def evaluation_command(workdir: str, split: str) -> str:
  """Returns the command that writes a run's scores and predictions again."""
  return f"python launch.py --mode=evaluate --split={split} --workdir={workdir}"


def _read_run(path: str, split: str, none: Collection[str]) -> Seed:
  """Reads a run's predictions; its protocol is that of the scores."""
  scores = RunFolder(path).read_json(f"eval_{split}.json")
  file = os.path.join(path, f"predictions_{split}.jsonl")
  again = evaluation_command(path, split)
  if not isinstance(scores, dict) or not os.path.exists(file):
    raise ValueError(
      f"{path}: expected eval_{split}.json and predictions_{split}.jsonl, got"
      f" no {split} predictions; to write them: {again}"
    )
  seed = _read_file(file, none)
  right = sum(line["gold"] == line["pred"] for line in seed.lines.values())
  found = {"n": len(seed.lines), "accuracy": right / len(seed.lines)}
  # Predictions of a run name their protocol, unless another program wrote them.
  if seed.protocol != UNKNOWN:
    found["protocol"] = seed.protocol
  for key, value in found.items():
    if scores.get(key) != value:
      raise ValueError(
        f"{file}: expected {key}={scores.get(key)!r} as in eval_{split}.json,"
        f" got {value!r}; to write both again: {again}"
      )
  return seed._replace(
    protocol=scores.get("protocol") or UNKNOWN,
    counts_only=scores.get("counts_only"),
  )


def _read_file(path: str, none: Collection[str]) -> Seed:
  lines, numbers = {}, {}
  lowered = {name.lower() for name in none}
  with open(path, "rb") as file:
    for number, text in enumerate(file, start=1):
      if not text.strip():
        continue
      line = _parse(text, f"{path}, line {number}")
      row = line["id"]
      if row in lines:
        raise ValueError(
          f"{path}, line {number}: expected every row once, got {row!r} again"
          f" (first in line {numbers[row]})"
        )
      for key in ("gold", "pred"):
        if line[key].lower() in lowered:
          line[key] = NONE
      lines[row], numbers[row] = line, number
  protocols = {line.get("protocol") or UNKNOWN for line in lines.values()}
  if len(protocols) != 1:
    raise ValueError(
      f"{path}: expected predictions of one protocol, got"
      f" {', '.join(sorted(protocols)) or 'an empty file'}"
    )
  return Seed(path, protocols.pop(), lines)


def _parse(text: bytes, where: str) -> dict[str, Any]:
  """Returns the object of a line."""
  line = json_file.parse(text, where)
  if not isinstance(line, dict):
    raise ValueError(
      f"{where}: expected a JSON object, got {type(line).__name__}"
    )
  missing = [key for key in ("id", "gold", "pred") if key not in line]
  if missing:
    raise ValueError(
      f"{where}: expected id, gold and pred, got no {', '.join(missing)}"
    )
  for key, (kind, expected) in _TYPES.items():
    if not isinstance(line.get(key), kind):
      raise ValueError(
        f"{where}: expected {key} as {expected}, got {shown(line[key])}"
      )
  if not json_file.is_finite(line.get("probability") or 0):
    raise ValueError(
      f"{where}: expected a finite probability, got"
      f" {shown(line['probability'])}"
    )
  return line
