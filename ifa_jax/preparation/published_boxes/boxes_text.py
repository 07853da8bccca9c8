"""The JSON of a boxes file, see `data.images.boxes`."""

import json
import os
from collections.abc import Mapping, Sequence

from ifa_jax.data.images import boxes
from ifa_jax.preparation.published_boxes.box_files import Edges

# Digits of a fraction; readers round to a thousandth of a pixel.
_DIGITS = 9
# Of every box.
_SCORE = 1.0


def to_fractions(
  found: Mapping[str, Sequence[Edges]],
) -> dict[str, list[list[float]]]:
  """Returns picture -> boxes whose edges are exactly from 0 to 1."""
  return {
    name: [
      [min(max(round(edge, _DIGITS), 0), 1) for edge in edges]
      for edges in listed
    ]
    for name, listed in found.items()
  }


def write(
  written: Mapping[str, Sequence[Sequence[float]]], marks: Mapping[str, str]
) -> str:
  """Returns the text, one picture per line; each box has score 1."""
  lines = [
    f"{json.dumps(name)}:"
    f" {json.dumps([{'box': box, 'score': _SCORE} for box in listed])}"
    for name, listed in written.items()
  ]
  text = "{\n" + ",\n".join(lines) + "\n}"
  if not marks:
    return text
  return f'{json.dumps(marks)[:-1]}, "boxes": {text}}}'


def check_replaceable(path: str) -> None:
  """Raises ValueError for a file that is not one of `write`."""
  if os.path.lexists(path) and not _is_own(path):
    raise ValueError(
      f"{path}: expected no file, or boxes that this command wrote, got another"
      " file; choose another file to write"
    )


def _is_own(path: str) -> bool:
  """Returns whether all boxes of a file are as `write` writes them.

  Those of a detector have labels, phrases or other scores.
  """
  try:
    listed = boxes.read_file(path).boxes.values()
  except (ValueError, OSError):
    return False
  return all(
    (box.score, box.phrase, box.label) == (_SCORE, None, None)
    for found in listed
    for box in found
  )
