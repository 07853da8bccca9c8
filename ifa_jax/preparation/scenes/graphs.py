"""Scene graphs that Scene Graph Benchmark wrote for custom pictures.

KaihuaTang/Scene-Graph-Benchmark.pytorch leaves two files in a folder:

    custom_prediction.json  {"0": {"bbox": [[x0, y0, x1, y1], ...],
                             "bbox_labels": [58, ...], "bbox_scores": [...],
                             "rel_pairs": [[subject, object], ...],
                             "rel_labels": [31, ...], "rel_scores": [...]}}
    custom_data_info.json   {"idx_to_files": ["folder/a.jpg", ...],
                             "ind_to_classes": ["__background__", ...],
                             "ind_to_predicates": ["__background__", ...]}

Its boxes are in the pixels of the picture as its detector resizes it, with the
right and lower edge inclusive.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ifa_jax.data.images import boxes
from ifa_jax.data.scenes.store import Scene
from ifa_jax.detection import scene_builder
from ifa_jax.detection.region_encoder import RegionEncoder
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

MIN_RELATION_SCORE = 0.1
MAX_RELATIONS = 60

# INPUT.MIN_SIZE_TEST and MAX_SIZE_TEST of its configs.
_SHORT_SIDE, _LONG_SIDE = 600, 1000
_INFO = "custom_data_info.json"
_OBJECT_KEYS = ("bbox", "bbox_labels", "bbox_scores")
_RELATION_KEYS = ("rel_pairs", "rel_labels", "rel_scores")


class Relation(NamedTuple):
  """One edge of a scene graph.

  Attributes:
    ends: (subject, object), indices of boxes.
    label: the predicate's name.
    score: higher is better.
  """

  ends: tuple[int, int]
  label: str
  score: float


class Graph(NamedTuple):
  """What was found in a picture, boxes in the resized picture's pixels.

  Attributes:
    boxes: best score first.
    relations: best score first.
  """

  boxes: list[boxes.Box]
  relations: list[Relation]


def read_graphs(path: str) -> dict[str, Graph]:
  """Reads a custom_prediction.json: picture's file name -> its graph.

  Raises:
    ValueError: for files that are absent, of another form, or that contradict
      each other; names file, picture and number of what is wrong.
  """
  info_path = os.path.join(os.path.dirname(path), _INFO)
  found, info = _read_json(path), _read_json(info_path)
  if not isinstance(found, dict):
    raise ValueError(f"{path}: wanted an object of pictures")
  names, classes, predicates = (
    _list(info_path, info, key)
    for key in ("idx_to_files", "ind_to_classes", "ind_to_predicates")
  )
  places = {str(place) for place in range(len(names))}
  graphs = {}
  for number, entry in found.items():
    if number not in places:
      raise ValueError(
        f"{path}: wanted pictures 0 to {len(names) - 1} of {_INFO}, found"
        f" {number[:80]!r}"
      )
    name = os.path.basename(str(names[int(number)]))
    if name in graphs:
      raise ValueError(f"{info_path}: two pictures are named {name!r}")
    graphs[name] = _read_graph(
      entry, classes, predicates, f"{path}: picture {number!r}"
    )
  return graphs


def make_scene(
  picture: Image.Image,
  graph: Graph,
  encoder: RegionEncoder,
  num_objects: int = scene_builder.NUM_OBJECTS,
  min_score: float = scene_builder.MIN_SCORE,
) -> Scene:
  """Returns a picture's best objects with the relations found among them.

  At most `MAX_RELATIONS` of a score above `MIN_RELATION_SCORE` are kept.

  Args:
    picture: RGB.
    graph: what was found in it.
    encoder: gives the objects' features.
    num_objects: the most objects.
    min_score: what an object's score must exceed.

  Raises:
    ValueError: if the boxes are not those of this picture.
  """
  chosen = scene_builder.choose(graph.boxes, num_objects, min_score)
  place = {box.index: i for i, box in enumerate(chosen)}
  kept = [
    relation
    for relation in graph.relations
    if relation.score > MIN_RELATION_SCORE
    and place.keys() >= {*relation.ends}
    and relation.ends[0] != relation.ends[1]
  ][:MAX_RELATIONS]
  edges = [[place[end] for end in relation.ends] for relation in kept]
  chosen = _in_picture(chosen, picture.size)
  return scene_builder.describe(picture, chosen, encoder)._replace(
    edges=np.array(edges, np.int32).reshape(-1, 2),
    edge_labels=[relation.label for relation in kept],
    edge_scores=np.array([relation.score for relation in kept], np.float32),
  )


def resized_size(size: tuple[int, int]) -> tuple[int, int]:
  """Returns what the detector resizes a (width, height) to.

  As `get_size` in visualization/3.visualize_custom_SGDet.ipynb at 7746051: the
  shorter side to 600 pixels, or less where the longer would exceed 1000.
  """
  short, long = min(size), max(size)
  target = _SHORT_SIDE
  if long / short * target > _LONG_SIDE:
    target = round(_LONG_SIDE * short / long)
  width, height = (
    target if side == short else int(target * side / short) for side in size
  )
  return width, height


def _in_picture(
  chosen: Sequence[boxes.Box], size: tuple[int, int]
) -> list[boxes.Box]:
  """Returns boxes in the original picture's pixels."""
  resized = resized_size(size)
  for box in chosen:
    if box.edges[2] > resized[0] + 1 or box.edges[3] > resized[1] + 1:
      raise ValueError(
        f"box {box.index} reaches to {box.edges[2:]}, and a picture of"
        f" {size[0]} x {size[1]} is resized to {resized[0]} x {resized[1]}"
      )
  scale = [side / length for side, length in zip(size, resized, strict=True)]
  return [
    box._replace(edges=tuple(np.multiply(box.edges, scale * 2).tolist()))
    for box in chosen
  ]


def _read_graph(
  entry: Any, classes: Sequence[str], predicates: Sequence[str], where: str
) -> Graph:
  """Checks the graph of one picture."""
  boxes.check_pixels(_list(where, entry, "bbox"), where)
  listed = [
    {
      "box": _exclusive(box),
      "score": score,
      "label": _name(classes, label, f"{where}, box {i}"),
    }
    for i, (box, label, score) in enumerate(_rows(where, entry, _OBJECT_KEYS))
  ]
  relations = []
  for i, found in enumerate(_rows(where, entry, _RELATION_KEYS)):
    at = f"{where}, relation {i}"
    ends, label, score = found
    _check_relation(ends, score, len(listed), at)
    relations.append(Relation(tuple(ends), _name(predicates, label, at), score))
  relations.sort(key=lambda relation: -relation.score)
  return Graph(boxes.read_list(listed, where), relations)


def _exclusive(box: Any) -> Any:
  """Returns a box with its right and lower edge exclusive."""
  try:
    x0, y0, x1, y1 = box
    return [x0, y0, x1 + 1, y1 + 1]
  except (TypeError, ValueError):
    return box  # No box: `boxes.read_list` tells what it is.


def _check_relation(ends: Any, score: Any, num_boxes: int, where: str) -> None:
  """Raises ValueError unless two boxes are related with a finite score."""
  places = range(num_boxes)
  is_pair = isinstance(ends, list) and len(ends) == 2
  if not is_pair or any(type(e) is not int or e not in places for e in ends):
    raise ValueError(
      f"{where}: wanted two of {num_boxes} boxes, found {shown(ends)}"
    )
  if not json_file.is_finite(score):
    raise ValueError(
      f"{where}: wanted a finite number as score, found {shown(score)}"
    )


def _name(names: Sequence[str], number: Any, where: str) -> str:
  """Returns the name of a class or a predicate."""
  if type(number) is not int or not 0 <= number < len(names):
    raise ValueError(
      f"{where}: wanted one of {len(names)} names, found {shown(number)}"
    )
  return str(names[number])


def _rows(
  where: str, entry: Any, keys: Sequence[str]
) -> Iterable[tuple[Any, ...]]:
  """Yields what the lists of some keys have in each place."""
  columns = [_list(where, entry, key) for key in keys]
  lengths = [len(column) for column in columns]
  if len({*lengths}) != 1:
    raise ValueError(
      f"{where}: wanted equally many {', '.join(keys)}, found {lengths}"
    )
  return zip(*columns, strict=True)


def _list(where: str, entry: Any, key: str) -> list[Any]:
  """Returns the list that an object has under a key."""
  found = entry.get(key) if isinstance(entry, dict) else None
  if not isinstance(found, list):
    raise ValueError(f"{where}: wanted a list as {key!r}, found {shown(found)}")
  return found


def _read_json(path: str) -> Any:
  """Returns what a JSON file holds."""
  try:
    return json_file.load(path)
  except OSError as error:
    raise ValueError(f"{path}: cannot be read ({error})") from None
