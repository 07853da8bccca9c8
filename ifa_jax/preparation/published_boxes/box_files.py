"""The published coordinates of MNRE's crops (honk2333/FocalMRE, `*_box_dict`).

A `torch.save` file per split and kind of crop holds a dict

    {"twitter_19_31_8_3_crop_1.jpg": (cx, cy, w, h, area)}

of centre, sides and area as fractions of the picture's width, height and area.
A detected crop is named by its picture, "<stem>_crop_<n>.jpg", a grounded one
by its row, "<row>_pred_yolo_crop_<n>.png".
"""

import re
from typing import Any, NamedTuple

from ifa_jax.files import json_file, torch_file
from ifa_jax.files.shown import shown

DETECTED, GROUNDED = "detected", "grounded"
KINDS = (DETECTED, GROUNDED)
_NAMES = {
  # First, since names of the other form match the second as well.
  GROUNDED: re.compile(r"(\d+)_pred_yolo_crop_(\d+)\.png"),
  DETECTED: re.compile(r"(.+)_crop_(\d+)\.(?:jpg|png)"),
}
# Rounding errors of the published numbers are below 1e-15.
_TOLERANCE = 1e-6

# x0, y0, x1, y1 as fractions of the picture.
Edges = tuple[float, float, float, float]


class BoxFile(NamedTuple):
  """A published file.

  Attributes:
    path: of the file.
    kind: "detected" or "grounded".
    boxes: crop's file name -> its edges.
  """

  path: str
  kind: str
  boxes: dict[str, Edges]

  def by_picture(self) -> dict[str, list[Edges]]:
    """Returns picture's stem -> its detected boxes, in their order."""
    numbered: dict[str, list[tuple[int, Edges]]] = {}
    for name, edges in self.boxes.items():
      found: Any = _NAMES[DETECTED].fullmatch(name)
      numbered.setdefault(found[1], []).append((int(found[2]), edges))
    return {
      stem: [edges for _, edges in sorted(listed)]
      for stem, listed in numbered.items()
    }


def read(path: str) -> BoxFile:
  """Reads a file; its kind is recognised by the names of its crops.

  Raises:
    ValueError: if it is no such file; names the file and the crop.
  """
  listed = torch_file.load(path)
  if not isinstance(listed, dict) or not listed:
    raise ValueError(f"{path}: expected a dict of crops, got {shown(listed)}")
  kind = _kind(path, next(iter(listed)))
  boxes = {}
  for name, numbers in listed.items():
    if _kind(path, name) != kind:
      raise ValueError(
        f"{path}: expected names of {kind} crops, got {shown(name)} as well"
      )
    boxes[name] = _edges(f"{path}: crop {shown(name)}", numbers)
  return BoxFile(path, kind, boxes)


def _kind(path: str, name: Any) -> str:
  for kind, pattern in _NAMES.items():
    if isinstance(name, str) and pattern.fullmatch(name):
      return kind
  raise ValueError(
    f"{path}: expected <picture>_crop_<n>.jpg or <row>_pred_yolo_crop_<n>.png"
    f" as the name of a crop, got {shown(name)}"
  )


def _edges(where: str, numbers: Any) -> Edges:
  """Returns the edges of (cx, cy, w, h, area), which must be consistent."""
  is_list = isinstance(numbers, (tuple, list)) and len(numbers) == 5
  if not is_list or not all(map(json_file.is_finite, numbers)):
    raise ValueError(
      f"{where}: expected five finite numbers (cx, cy, w, h, area), got"
      f" {shown(numbers)}"
    )
  x, y, width, height, area = numbers
  edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
  inside = min(edges) >= -_TOLERANCE and max(edges) <= 1 + _TOLERANCE
  is_area = abs(width * height - area) <= _TOLERANCE
  if not (inside and is_area and width > 0 and height > 0):
    raise ValueError(
      f"{where}: expected (cx, cy, w, h, area) in fractions of the picture, of"
      f" a box inside it, got {shown(numbers)}"
    )
  return edges
