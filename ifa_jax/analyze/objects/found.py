"""The objects of a split's rows, and those that repeat another one.

Objects are crops of pictures (fields "grounded" and "detected") or the regions
of scenes (field "object").
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ifa_jax.analyze.alignment import split as alignment_split
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.data.scenes import store
from ifa_jax.training.experiment import Experiment

REGIONS = "object"


class Item(NamedTuple):
  """One object of a row.

  Attributes:
    field: "grounded", "detected" or "object".
    slot: among those of its field, from 0.
    box: float[4], x0, y0, x1, y1 in any unit; None if unknown.
    label: "" if unknown.
  """

  field: str
  slot: int
  box: np.ndarray | None
  label: str = ""


class Objects(NamedTuple):
  """The objects of n rows. K slots, by field.

  Attributes:
    rows: the objects of each row, in the order of importance.
    present: field -> bool[n, K].
    repeats: field -> bool[n, K], objects that repeat an earlier one.
    kept: slots of the first field that are no objects, for all rows: 1 if the
      first region is the whole picture.
  """

  rows: Sequence[Sequence[Item]]
  present: dict[str, np.ndarray]
  repeats: dict[str, np.ndarray]
  kept: int = 0


def read(built: Experiment, split: Split, overlap: float) -> Objects:
  """Reads the objects that a run's model sees.

  An object repeats an earlier one of its row if both have the same label, or
  boxes whose intersection over union is above `overlap`.

  Raises:
    ValueError: if the model reads no objects, or its data has none.
  """
  model, kept = built.config.model, 0
  if model.regions is not None:
    slots = {REGIONS: model.regions.num_regions}
    rows, kept = _regions(built, split)
  else:
    slots = _crop_slots(built)
    rows = [_crops(split, row, slots) for row in range(len(split))]
  blank = {x: np.zeros((len(rows), k), bool) for x, k in slots.items()}
  found = Objects(rows, blank, {x: y.copy() for x, y in blank.items()}, kept)
  for row, items in enumerate(rows):
    for item, repeated in zip(items, repeats(items, overlap), strict=True):
      found.present[item.field][row, item.slot] = True
      found.repeats[item.field][row, item.slot] = repeated
  if not any(rows):
    raise ValueError(
      f"split {split.name}: expected rows with objects that the model reads,"
      " got none"
    )
  return found


def repeats(items: Sequence[Item], overlap: float) -> list[bool]:
  """Returns for each object of a row whether it repeats an earlier one."""
  return [
    any(_same(item, other, overlap) for other in items[:i])
    for i, item in enumerate(items)
  ]


def iou(one: np.ndarray, other: np.ndarray) -> float:
  """Returns the intersection of two boxes over their union."""
  low = np.maximum(one[:2], other[:2])
  shared = np.maximum(np.minimum(one[2:], other[2:]) - low, 0).prod()
  areas = [(box[2:] - box[:2]).prod() for box in (one, other)]
  return float(shared / (sum(areas) - shared))


def _same(one: Item, other: Item, overlap: float) -> bool:
  if one.label and one.label == other.label:
    return True
  if one.box is None or other.box is None:
    return False
  return iou(one.box, other.box) > overlap


def _crop_slots(built: Experiment) -> dict[str, int]:
  """Returns field -> crops per row.

  Raises:
    ValueError: without any.
  """
  read = [x for x, *_ in built.config.model.picture_slots if x != "image"]
  if not read:
    raise ValueError(
      "expected a model that reads objects or crops, got"
      f" {built.config.model.system!r} without any"
    )
  slots = {x: k for x, k, _ in built.data.geometry.slots if x in read}
  if not slots:
    raise ValueError(
      f"{built.prepared.folder}: expected posts with {' or '.join(read)} crops,"
      " which the run's model reads, got none"
    )
  return slots


def _crops(split: Split, row: int, slots: dict[str, int]) -> list[Item]:
  read = alignment_split.read_row(split, row, split.describe(row))
  items = []
  for field, most in slots.items():
    boxes = read.boxes[field]
    for slot in range(min(len(read.squares[field]), most)):
      # Crops that came as files have no box.
      box = np.array(boxes[slot]) if slot < len(boxes) else None
      items.append(Item(field, slot, box))
  return items


def _regions(built: Experiment, split: Split) -> tuple[list[list[Item]], int]:
  """Returns the objects of each row, and the number of regions before them."""
  folder = built.config.data.scenes
  if not folder:
    raise ValueError(
      "data.scenes: expected a directory of scenes, whose objects the model"
      " reads, got none"
    )
  scenes = store.read_split(folder, split.name)
  features = scenes.manifest["features"] or {}
  kept = int(features.get("kind") == "pyramid")
  reader = built.data.inputs.region_reader(split)
  texts = built.data.inputs.texts(split)
  rows = []
  for row, text in enumerate(texts):
    scene, num = scenes.scene(text.img_id), reader.num_objects(row)
    rows.append([*_of_scene(scene, kept, num)] if scene else [])
  return rows, kept


def _of_scene(scene: store.Scene, kept: int, num: int) -> Iterator[Item]:
  for slot in range(kept, num):
    box = None if scene.boxes is None else scene.boxes[slot].astype(float)
    label = scene.labels[slot] if len(scene.labels) else ""
    yield Item(REGIONS, slot, box, label)
