"""The JSON of a boxes file, see `data.images.boxes`."""

import json
from collections.abc import Mapping, Sequence

from ifa_jax.preparation.published_boxes.box_files import Edges

# Digits of a fraction; readers round to a thousandth of a pixel.
_DIGITS = 9


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
    f" {json.dumps([{'box': box, 'score': 1.0} for box in listed])}"
    for name, listed in written.items()
  ]
  text = "{\n" + ",\n".join(lines) + "\n}"
  if not marks:
    return text
  return f'{json.dumps(marks)[:-1]}, "boxes": {text}}}'
