"""Scene graphs that Scene Graph Benchmark wrote for custom pictures.

KaihuaTang/Scene-Graph-Benchmark.pytorch leaves two files in a folder:

    custom_prediction.json  {"0": {"bbox": [[x0, y0, x1, y1], ...],
                             "bbox_labels": [58, ...], "bbox_scores": [...],
                             "rel_pairs": [[subject, object], ...],
                             "rel_labels": [31, ...], "rel_scores": [...]}}
    custom_data_info.json   {"idx_to_files": ["folder/a.jpg", ...],
                             "ind_to_classes": ["__background__", ...],
                             "ind_to_predicates": ["__background__", ...]}

Boxes are in pixels of the picture as its detector resizes it, and include their
right and lower edges.
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
  """The boxes and relations of a picture, each best score first.

  Boxes are in pixels of the resized picture.
  """

  boxes: list[boxes.Box]
  relations: list[Relation]


def read_graphs(path: str) -> dict[str, Graph]:
  """Reads a custom_prediction.json: picture's file name -> its graph.

  Raises:
    ValueError: for files that are malformed or inconsistent; names file,
      picture and number.
    OSError: if a file cannot be opened.
  """
  info_path = os.path.join(os.path.dirname(path), _INFO)
  found, info = json_file.load(path), json_file.load(info_path)
  if not isinstance(found, dict):
    raise ValueError(
      f"{path}: expected an object of pictures, got {shown(found)}"
    )
  files, classes, predicates = (
    _list(info_path, info, key)
    for key in ("idx_to_files", "ind_to_classes", "ind_to_predicates")
  )
  names = {str(i): os.path.basename(str(file)) for i, file in enumerate(files)}
  graphs = {}
  for number, entry in found.items():
    name = names.get(number)
    if name is None:
      raise ValueError(
        f"{path}: expected pictures 0 to {len(names) - 1} of {_INFO}, got"
        f" {number[:80]!r}"
      )
    if name in graphs:
      raise ValueError(f"{info_path}: two pictures are named {name!r}")
    where = f"{path}: picture {number!r}"
    graphs[name] = _read_graph(entry, classes, predicates, where)
  return graphs


def make_scene(
  picture: Image.Image,
  graph: Graph,
  encoder: RegionEncoder,
  num_objects: int | None = None,
  min_score: float = scene_builder.MIN_SCORE,
) -> Scene:
  """Returns a picture's best objects with the relations found among them.

  At most `MAX_RELATIONS` of a score above `MIN_RELATION_SCORE` are kept.

  Args:
    picture: RGB.
    graph: of this picture.
    encoder: gives the objects' features.
    num_objects: maximum number of objects; None: the encoder's default.
    min_score: objects are kept if their score is higher.

  Raises:
    ValueError: if the boxes are not those of this picture.
  """
  most = encoder.num_objects if num_objects is None else num_objects
  chosen = scene_builder.choose(graph.boxes, most, min_score)
  place = {box.index: i for i, box in enumerate(chosen)}
  kept = [
    relation
    for relation in graph.relations
    if relation.score > MIN_RELATION_SCORE
    and place.keys() >= {*relation.ends}
    and relation.ends[0] != relation.ends[1]
  ][:MAX_RELATIONS]
  edges = [[place[end] for end in relation.ends] for relation in kept]
  scaled = _to_picture(chosen, picture.size)
  return scene_builder.describe(picture, scaled, encoder)._replace(
    edges=np.array(edges, np.int32).reshape(-1, 2),
    edge_labels=[relation.label for relation in kept],
    edge_scores=np.array([relation.score for relation in kept], np.float32),
  )


def resized_size(size: tuple[int, int]) -> tuple[int, int]:
  """Returns the (width, height) to which the detector resizes a picture.

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


def _to_picture(
  chosen: Sequence[boxes.Box], size: tuple[int, int]
) -> list[boxes.Box]:
  """Scales boxes to pixels of the original picture."""
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
  boxes.check_pixels(_list(where, entry, "bbox"), where)
  columns = _rows(where, entry, ("bbox", "bbox_labels", "bbox_scores"))
  listed = [
    {
      "box": _exclusive(box),
      "score": score,
      "label": _name(classes, label, f"{where}, box {i}"),
    }
    for i, (box, label, score) in enumerate(columns)
  ]
  relations = []
  columns = _rows(where, entry, ("rel_pairs", "rel_labels", "rel_scores"))
  for i, (ends, label, score) in enumerate(columns):
    at = f"{where}, relation {i}"
    if not _are_ends(ends, len(listed)):
      raise ValueError(
        f"{at}: expected two of {len(listed)} boxes, got {shown(ends)}"
      )
    if not json_file.is_finite(score):
      raise ValueError(
        f"{at}: expected a finite number as score, got {shown(score)}"
      )
    relations.append(Relation(tuple(ends), _name(predicates, label, at), score))
  relations.sort(key=lambda relation: -relation.score)
  return Graph(boxes.read_list(listed, where), relations)


def _exclusive(box: Any) -> Any:
  """Returns a box with its right and lower edge exclusive."""
  try:
    x0, y0, x1, y1 = box
    return [x0, y0, x1 + 1, y1 + 1]
  except (TypeError, ValueError):
    return box  # Not a box, which `boxes.read_list` reports.


def _are_ends(ends: Any, num_boxes: int) -> bool:
  return (
    isinstance(ends, list)
    and len(ends) == 2
    and all(type(end) is int and 0 <= end < num_boxes for end in ends)
  )


def _name(names: Sequence[str], number: Any, where: str) -> str:
  if type(number) is not int or not 0 <= number < len(names):
    raise ValueError(
      f"{where}: expected one of {len(names)} names, got {shown(number)}"
    )
  return str(names[number])


def _rows(
  where: str, entry: Any, keys: Sequence[str]
) -> Iterable[tuple[Any, ...]]:
  """Zips the lists of some keys, which must be equally long."""
  columns = [_list(where, entry, key) for key in keys]
  lengths = [len(column) for column in columns]
  if len({*lengths}) != 1:
    raise ValueError(
      f"{where}: expected equally many {', '.join(keys)}, got {lengths}"
    )
  return zip(*columns, strict=True)


def _list(where: str, entry: Any, key: str) -> list[Any]:
  found = entry.get(key) if isinstance(entry, dict) else None
  if not isinstance(found, list):
    raise ValueError(f"{where}: expected a list as {key!r}, got {shown(found)}")
  return found
