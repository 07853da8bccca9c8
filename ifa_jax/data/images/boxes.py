"""Boxes around objects in pictures, from any detector or grounder.

    {"a.jpg": [{"box": [12, 5, 90, 80.5], "score": 0.9},
               {"box": [0, 0, 40, 40], "score": 0.7, "phrase": "Bill Cosby"}]}

Pixels of the original picture. A box without a phrase is a detected object of
every row of its picture; one with a phrase is a grounded object of the rows
whose head or tail has that name. So neither can depend on a row's relation.
A detector's class name may stand beside as "label".
"""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from ifa_jax.files import json_file
from ifa_jax.files.shown import shown


class Box(NamedTuple):
  """One object.

  Attributes:
    edges: (x0, y0, x1, y1) in pixels.
    score: higher is better.
    phrase: what was looked for, or None.
    index: place in the picture's list, from 0.
    label: the name of the object's class, or None.
  """

  edges: tuple[float, float, float, float]
  score: float
  phrase: str | None
  index: int  # pyright: ignore[reportIncompatibleMethodOverride]
  label: str | None = None


def read_boxes(path: str | os.PathLike) -> dict[str, list[Box]]:
  """Reads a boxes file: picture's file name -> its boxes, best score first.

  Boxes of equal score keep the order of the file.

  Raises:
    ValueError: for a file of another form; names picture and index of the box.
  """
  listed = json_file.load(path)
  if not isinstance(listed, dict):
    raise ValueError(
      f"{path}: wanted an object of picture names to lists of boxes, found a"
      f" {type(listed).__name__}"
    )
  return {
    name: read_list(entries, f"{path}: picture {name!r}")
    for name, entries in listed.items()
  }


def read_list(entries: Any, where: str) -> list[Box]:
  """Reads the boxes of one picture, best score first.

  Args:
    entries: a list of objects, as JSON holds it.
    where: the list's place, for errors.

  Raises:
    ValueError: for anything else; names the index of the box.
  """
  if not isinstance(entries, list):
    raise ValueError(
      f"{where}: wanted a list of boxes, found a {type(entries).__name__}"
    )
  read = [
    _read_box(f"{where}, box {index}", index, entry)
    for index, entry in enumerate(entries)
  ]
  return sorted(read, key=lambda box: -box.score)


def detected(listed: Sequence[Box]) -> list[Box]:
  """Returns a picture's detected objects: the boxes without a phrase."""
  return [box for box in listed if box.phrase is None]


def grounded(listed: Sequence[Box], head: str, tail: str) -> list[Box]:
  """Returns the grounded objects of a row: the head's, then the tail's."""
  # Equal names share their boxes.
  names = dict.fromkeys((head, tail))
  return [box for name in names for box in listed if box.phrase == name]


def _read_box(where: str, index: int, entry: Any) -> Box:
  """Checks one box."""
  if not isinstance(entry, dict):
    raise ValueError(f"{where}: wanted an object, found {shown(entry)}")
  edges: Any = entry.get("box")
  score: Any = entry.get("score")
  are_numbers = isinstance(edges, list) and all(map(json_file.is_finite, edges))
  if not are_numbers or len(edges) != 4:
    raise ValueError(
      f"{where}: wanted four finite numbers as 'box', found {shown(edges)}"
    )
  x0, y0, x1, y1 = edges
  if x0 >= x1 or y0 >= y1:
    raise ValueError(
      f"{where}: wanted x0 < x1 and y0 < y1, found {shown(edges)}"
    )
  if not json_file.is_finite(score):
    raise ValueError(
      f"{where}: wanted a finite number as 'score', found {shown(score)}"
    )
  for key in ("phrase", "label"):
    text = entry.get(key)
    if text is not None and not isinstance(text, str):
      raise ValueError(
        f"{where}: wanted text or nothing as {key!r}, found {shown(text)}"
      )
  return Box(
    (x0, y0, x1, y1), score, entry.get("phrase"), index, entry.get("label")
  )
