"""Boxes around objects in pictures, from any detector or grounder.

    {"a.jpg": [{"box": [12, 5, 90, 80.5], "score": 0.9},
               {"box": [0, 0, 40, 40], "score": 0.7, "phrase": "Bill Cosby"}]}

Edges are x0, y0, x1, y1 in pixels of the picture, not resized and upright: with
its EXIF orientation applied. A box without a phrase is a detected object of
every row of its picture; one with a phrase is a grounded object of the rows
whose head or tail has that name (see `name_key`). So neither can depend on a
row's relation. "label" may give a detector's class name.

    {"protocol": "released", "boxes": {"a.jpg": [...]}}

holds boxes that do depend on relations (see `preparation.published_boxes`).
Only scenes of runs of that protocol can be made of it.

    {"unit": "fraction", "boxes": {"a.jpg": [...]}}

has edges from 0 to 1, fractions of the picture's width and height, for pictures
whose size is unknown. Only `data_prep.scenes` reads it. It may have a protocol
as well.
"""

import os
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

RELEASED = "released"
UNITS = PIXEL, FRACTION = "pixel", "fraction"
# Digits of a pixel. Without rounding, an edge at 325 becomes 325.00000000001,
# and a crop has one row of pixels more.
_DIGITS = 3


class Box(NamedTuple):
  """One object.

  Attributes:
    edges: (x0, y0, x1, y1) in pixels of the upright picture, or fractions of
      it in a `BoxesFile` of them.
    score: higher is better.
    phrase: the grounder's query, or None.
    index: position in the picture's list, from 0.
    label: name of the object's class, or None.
  """

  edges: tuple[float, float, float, float]
  score: float
  phrase: str | None
  index: int  # pyright: ignore[reportIncompatibleMethodOverride]
  label: str | None = None


class BoxesFile(NamedTuple):
  """The contents of a boxes file.

  Attributes:
    boxes: picture's file name -> its boxes, best score first.
    protocol: the only one that may use the boxes, or None.
    unit: of the edges, "pixel" or "fraction".
  """

  boxes: dict[str, list[Box]]
  protocol: str | None
  unit: str

  def in_pixels(self, name: str, size: tuple[int, int]) -> list[Box]:
    """Returns the boxes of a picture of (width, height) in its pixels."""
    listed = self.boxes.get(name, [])
    if self.unit == PIXEL:
      return listed
    return [box._replace(edges=to_pixels(box.edges, size)) for box in listed]


def read_boxes(path: str | os.PathLike) -> dict[str, list[Box]]:
  """Reads a boxes file: picture's file name -> its boxes, best score first.

  Boxes of equal score keep the order of the file.

  Raises:
    ValueError: for a malformed file, boxes that depend on relations, or
      fractions; names picture and index of the box.
  """
  found = read_file(path)
  if found.protocol is not None:
    raise ValueError(
      f"{path}: expected boxes that do not depend on relations, got boxes for"
      f" protocol {found.protocol}, which only data_prep.scenes reads"
    )
  if found.unit != PIXEL:
    raise ValueError(
      f"{path}: expected boxes in pixels, got fractions of the pictures, which"
      " only data_prep.scenes reads"
    )
  return found.boxes


def read_file(path: str | os.PathLike) -> BoxesFile:
  """As `read_boxes`, for boxes of any protocol and unit."""
  listed = json_file.load(path)
  protocol, unit = None, PIXEL
  # A picture of this name would have a list.
  if isinstance(listed, dict) and isinstance(listed.get("boxes"), dict):
    protocol, unit = _read_marks(path, listed)
    listed = listed["boxes"]
  if not isinstance(listed, dict):
    raise ValueError(
      f"{path}: expected an object of picture names to lists of boxes, got a"
      f" {type(listed).__name__}"
    )
  read = {
    name: read_list(entries, f"{path}: picture {name!r}", unit)
    for name, entries in listed.items()
  }
  return BoxesFile(read, protocol, unit)


def read_list(entries: Any, where: str, unit: str = PIXEL) -> list[Box]:
  """Reads the boxes of one picture from JSON values, best score first.

  Raises:
    ValueError: for a malformed list; names `where` and the index of the box.
  """
  if not isinstance(entries, list):
    raise ValueError(
      f"{where}: expected a list of boxes, got a {type(entries).__name__}"
    )
  read = [
    _read_box(f"{where}, box {index}", index, entry)
    for index, entry in enumerate(entries)
  ]
  edges = [list(box.edges) for box in read]
  _check_unit(edges, unit, where)
  return sorted(read, key=lambda box: -box.score)


def detected(listed: Sequence[Box]) -> list[Box]:
  """Returns a picture's detected objects: the boxes without a phrase."""
  return [box for box in listed if box.phrase is None]


def grounded(listed: Sequence[Box], head: str, tail: str) -> list[Box]:
  """Returns the grounded objects of a row, the most important ones first.

  The head's best box, the tail's best, then all others by score: the boxes of
  one name leave room for the other's. A box listed under two spellings of a
  name counts once.
  """
  by_name: dict[str, dict[tuple[float, ...], Box]] = {
    name_key(name): {} for name in (head, tail)
  }
  for box in listed:
    if box.phrase is not None:
      by_name.get(name_key(box.phrase), {}).setdefault(box.edges, box)
  found = [[*boxes.values()] for boxes in by_name.values()]
  others = [box for boxes in found for box in boxes[1:]]
  best = [box for boxes in found for box in boxes[:1]]
  return [*best, *sorted(others, key=lambda box: -box.score)]


def name_key(name: str) -> str:
  """Returns a name without details of spelling: "stlouis" for "St. Louis".

  Its letters, digits, accents and symbols, case folded and in Unicode's form
  NFKC: case, spaces, punctuation and the encoding of accents do not count.
  Grounders answer in lower case and with a full stop. A name that has only
  punctuation keeps all but its spaces.
  """
  folded = unicodedata.normalize("NFKC", name).casefold()
  folded = unicodedata.normalize("NFKC", folded)
  kept = "".join(c for c in folded if unicodedata.category(c)[0] in "LMNS")
  return kept or "".join(folded.split())


def _read_marks(
  path: str | os.PathLike, listed: dict[str, Any]
) -> tuple[str | None, str]:
  """Returns the protocol and the unit of a file that has either."""
  marks = {key: value for key, value in listed.items() if key != "boxes"}
  for key, known in (("protocol", (RELEASED,)), ("unit", UNITS)):
    if key in marks and marks[key] not in known:
      raise ValueError(
        f"{path}: expected {' or '.join(map(repr, known))} as {key!r} next to"
        f" 'boxes', got {shown(marks[key])}"
      )
  if not marks or marks.keys() - {"protocol", "unit"}:
    raise ValueError(
      f"{path}: expected 'protocol' or 'unit' next to 'boxes', got"
      f" {shown([*marks])}"
    )
  return marks.get("protocol"), marks.get("unit", PIXEL)


def _read_box(where: str, index: int, entry: Any) -> Box:
  def check(is_valid: bool, expected: str, got: Any) -> None:
    if not is_valid:
      raise ValueError(f"{where}: expected {expected}, got {shown(got)}")

  check(isinstance(entry, dict), "an object", entry)
  edges: Any = entry.get("box")
  score: Any = entry.get("score")
  check(are_edges(edges), "four finite numbers as 'box'", edges)
  x0, y0, x1, y1 = edges
  check(x0 < x1 and y0 < y1, "x0 < x1 and y0 < y1", edges)
  check(json_file.is_finite(score), "a finite number as 'score'", score)
  phrase, label = entry.get("phrase"), entry.get("label")
  for key, text in (("phrase", phrase), ("label", label)):
    is_text = text is None or isinstance(text, str)
    check(is_text, f"text or nothing as {key!r}", text)
  return Box((x0, y0, x1, y1), score, phrase, index, label)


def to_pixels(
  edges: Sequence[float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
  """Returns edges in pixels of a picture of (width, height), given fractions.

  Rounded to a thousandth of a pixel, and clipped to the picture.
  """
  x0, y0, x1, y1 = (
    min(max(round(edge * side, _DIGITS), 0), side)
    for edge, side in zip(edges, size * 2, strict=True)
  )
  return x0, y0, x1, y1


def _check_unit(
  listed: Sequence[Sequence[float]], unit: str, where: str
) -> None:
  """Raises ValueError for boxes of a picture in another unit."""
  if unit == PIXEL:
    check_pixels(listed, where)
  else:
    _check_fractions(listed, where)


def check_pixels(listed: Sequence[Any], where: str) -> None:
  """Raises ValueError for boxes in fractions of the picture, not in pixels.

  Fractions end before 2: they may slightly exceed 1. A box of one whole pixel
  in the corner, a detector's failure, is accepted among others. Malformed boxes
  are ignored.
  """
  small = [are_edges(edges) and max(edges) < 2 for edges in listed]
  for index, edges in enumerate(listed):
    if small[index] and (all(small) or any(edge % 1 for edge in edges)):
      raise ValueError(
        f"{where}, box {index}: expected pixels of the picture, got"
        f" {shown(edges)}, fractions of its width and height; multiply by these"
      )


def are_edges(value: Any) -> bool:
  """Returns whether a value is a list of four finite numbers."""
  is_list = isinstance(value, (list, tuple)) and len(value) == 4
  return is_list and all(map(json_file.is_finite, value))


def _check_fractions(listed: Sequence[Sequence[float]], where: str) -> None:
  for index, edges in enumerate(listed):
    if min(edges) < 0 or max(edges) > 1:
      raise ValueError(
        f"{where}, box {index}: expected fractions of the picture, from 0 to 1,"
        f" got {shown(edges)}"
      )
