"""Predictions on disk: a run's folder, or a file of JSON lines.

Any program may have written the file, with a line for each row:

    {"id": "test/1", "gold": "None", "pred": "/per/per/couple",
     "probability": 0.7, "protocol": "clean"}

`id`, `gold` and `pred` must be there. A file that names no protocol has the
protocol "unknown". Rows with one `img_id` are of one post.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from ifa_jax.files.json_file import is_finite, unique
from ifa_jax.files.shown import shown
from ifa_jax.workdir.run_folder import RunFolder

NONE = "None"
UNKNOWN = "unknown"

_KINDS = {
  "id": (str | int, "text or a whole number"),
  "gold": (str, "text"),
  "pred": (str, "text"),
  "probability": (float | int | None, "a number"),
  "protocol": (str | None, "text"),
  "img_id": (str | int | None, "text or a whole number"),
}


class Seed(NamedTuple):
  """The predictions of one model.

  Attributes:
    path: of the file of JSON lines.
    protocol: that the model was scored under, or "unknown".
    lines: row id -> the line's object, in the order of the file.
  """

  path: str
  protocol: str
  lines: Mapping[str | int, Mapping[str, Any]]


def read(path: str, split: str, none: Collection[str] = (NONE,)) -> Seed:
  """Reads the predictions of one model.

  Args:
    path: of a run's folder or of a file of JSON lines.
    split: "dev" or "test"; which file of the folder.
    none: names of the negative class, in any case of letters; "None" is how
      all of them are returned.

  Raises:
    ValueError: names the file and the line, or what the folder lacks.
  """
  if os.path.isdir(path):
    return _read_run(path, split, none)
  if not os.path.exists(path):
    raise ValueError(
      f"{path}: want a run's folder or a file of JSON lines, found nothing"
    )
  return _read_file(path, none)


def _read_run(path: str, split: str, none: Collection[str]) -> Seed:
  """Reads a run's predictions; the protocol is that of its scores."""
  folder = RunFolder(path)
  scores = folder.read_json(f"eval_{split}.json")
  file = os.path.join(path, f"predictions_{split}.jsonl")
  again = f"python launch.py --mode=evaluate --split={split} --workdir={path}"
  if not isinstance(scores, dict) or not os.path.exists(file):
    raise ValueError(
      f"{path}: want a run with eval_{split}.json and"
      f" predictions_{split}.jsonl, found no {split} predictions; to make them:"
      f" {again}"
    )
  seed = _read_file(file, none)
  right = sum(line["gold"] == line["pred"] for line in seed.lines.values())
  found = {"n": len(seed.lines), "accuracy": right / len(seed.lines)}
  found["protocol"] = seed.protocol
  # Predictions of a run name their protocol, unless they were made elsewhere.
  if seed.protocol == UNKNOWN:
    found["protocol"] = scores.get("protocol")
  for key, value in found.items():
    if scores.get(key) != value:
      raise ValueError(
        f"{file}: want {key}={scores.get(key)!r} as in eval_{split}.json, found"
        f" {value!r}; to make both again: {again}"
      )
  return seed._replace(protocol=scores.get("protocol") or UNKNOWN)


def _read_file(path: str, none: Collection[str]) -> Seed:
  """Reads a file of predictions.

  Raises:
    ValueError: for a line that is no prediction, a row that stands there
      twice, or lines of several protocols. Names file and line.
  """
  lines, numbers = {}, {}
  lowered = {name.lower() for name in none}
  for where, number, line in _objects(path):
    _check_line(where, line)
    row = line["id"]
    if row in lines:
      raise ValueError(
        f"{where}: want every row once, found {row!r} again (first in line"
        f" {numbers[row]})"
      )
    for key in ("gold", "pred"):
      if line[key].lower() in lowered:
        line[key] = NONE
    lines[row] = line
    numbers[row] = number
  if not lines:
    raise ValueError(f"{path}: want predictions, found an empty file")
  protocols = {line.get("protocol") or UNKNOWN for line in lines.values()}
  if len(protocols) > 1:
    raise ValueError(
      f"{path}: want one protocol in all lines, found"
      f" {', '.join(sorted(protocols))}"
    )
  (protocol,) = protocols
  return Seed(path, protocol, lines)


def _objects(path: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
  """Yields where, line number and object of every line that is not blank."""
  with open(path, "rb") as file:
    for number, text in enumerate(file, start=1):
      if not text.strip():
        continue
      where = f"{path}, line {number}"
      try:
        value = json.loads(text, object_pairs_hook=unique)
      except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: want a JSON object ({error})") from None
      if not isinstance(value, dict):
        found = type(value).__name__
        raise ValueError(f"{where}: want a JSON object, found {found}")
      yield where, number, value


def _check_line(where: str, line: Mapping[str, Any]) -> None:
  missing = [key for key in ("id", "gold", "pred") if key not in line]
  if missing:
    raise ValueError(
      f"{where}: want id, gold and pred, found no {', '.join(missing)}"
    )
  for key, (kind, wanted) in _KINDS.items():
    if not isinstance(line.get(key), kind):
      raise ValueError(
        f"{where}: want {key} as {wanted}, found {shown(line[key])}"
      )
  if not is_finite(line.get("probability") or 0):
    raise ValueError(
      f"{where}: want a finite probability, found {shown(line['probability'])}"
    )
