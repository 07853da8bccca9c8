"""The scene of a picture, and all scenes of a split as flat arrays.

The objects of all pictures are concatenated, as are edges and heads; arrays of
offsets give the beginning of each picture or sentence. N pictures, O objects,
E edges, R sentences, H words, Dv the features' width.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

# The parts of a scene that may be missing; `given` has a column for each.
PARTS = ("boxes", "features", "edges", "edge_scores")

# Features of absent regions, the only array that a file may lack: [Dv].
ABSENT = "absent"

# Name -> kind of its entries and axes; "N+1" is one more than "N".
FORM = {
  "images": ("U", "N"),  # the pictures' file names
  "given": ("b", "N", len(PARTS)),  # whether the scene has each of PARTS
  "sizes": ("i", "N", 2),  # (width, height) in pixels
  "object_offsets": ("i", "N+1"),
  "boxes": ("f", "O", 4),
  "scores": ("f", "O"),
  "labels": ("i", "O"),  # number of a name, -1 for none
  "label_names": ("U", "L"),
  "features": ("f", "O", "Dv"),
  "edge_offsets": ("i", "N+1"),
  "edges": ("i", "E", 2),  # objects of the picture, from 0
  "edge_labels": ("i", "E"),
  "edge_label_names": ("U", "P"),
  "edge_scores": ("f", "E"),
  "rows": ("U", "R"),  # "test/12"
  "head_offsets": ("i", "R+1"),
  "heads": ("i", "H"),  # words of the sentence, from 0; -1 for a root
}

# The type of an optional array. `Any` instead of None, because callers check
# `given`, not the array, and a type checker cannot see that.
Given = np.ndarray | Any


class Scene(NamedTuple):
  """The objects of one picture, the best first. M objects, E edges.

  Attributes:
    size: (width, height) of the picture in pixels; (0, 0) without boxes.
    boxes: float32[M, 4] of (x0, y0, x1, y1) in pixels, or None if unknown.
    scores: float32[M], descending; all 0 if only the order is known.
    labels: M class names, "" for an object without one; or empty.
    features: float16 or float32 [M, Dv], or None.
    edges: int[E, 2] of (subject, object), or None if relations are unknown.
      Zero edges mean that none were found.
    edge_labels: E predicates, "" for an edge without one; or empty.
    edge_scores: float32[E], or empty.
  """

  size: tuple[int, int]
  boxes: Given
  scores: np.ndarray
  labels: Sequence[str] = ()
  features: Given = None
  edges: Given = None
  edge_labels: Sequence[str] = ()
  edge_scores: np.ndarray | Sequence[float] = ()

  @property
  def num_objects(self) -> int:
    """M."""
    return len(self.scores)


# Gives the arrays of no scene their types and axes.
_NOTHING = Scene((0, 0), None, np.zeros(0))


def pack(
  scenes: Mapping[str, Scene], heads: Mapping[str, Sequence[int]], where: str
) -> dict[str, np.ndarray]:
  """Returns the flat arrays, with 0 for missing parts.

  Scenes are by the picture's file name, heads by the row's id.

  Raises:
    ValueError: if parts of a scene differ in length, or scenes in the width of
      their features; names the image.
  """
  given = [x.features for x in scenes.values() if x.features is not None]
  width = np.shape(given[0])[-1] if given else 0
  # Name -> number, in the order of first occurrence.
  labels: dict[str, int] = {}
  predicates: dict[str, int] = {}
  parts = [_flat(_NOTHING, width, labels, predicates)]
  for img_id, scene in scenes.items():
    _check_shapes(scene, width, f"{where}: image {img_id!r}")
    parts.append(_flat(scene, width, labels, predicates))
  joined = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
  # Rows of `_NOTHING`.
  joined |= {key: joined[key][1:] for key in ("given", "sizes")}
  return joined | {
    "images": np.array(list(scenes), np.str_),
    "object_offsets": _offsets(len(part["scores"]) for part in parts[1:]),
    "edge_offsets": _offsets(len(part["edges"]) for part in parts[1:]),
    "label_names": np.array(list(labels), np.str_),
    "edge_label_names": np.array(list(predicates), np.str_),
    "rows": np.array(list(heads), np.str_),
    "head_offsets": _offsets(len(row) for row in heads.values()),
    "heads": np.array([h for row in heads.values() for h in row], np.int32),
  }


def unpack(arrays: Mapping[str, np.ndarray], image: int) -> Scene:
  """Returns the scene of the picture with a number; its arrays are views."""
  objects = slice(*arrays["object_offsets"][image : image + 2])
  edges = slice(*arrays["edge_offsets"][image : image + 2])
  given = dict(zip(PARTS, arrays["given"][image].tolist(), strict=True))
  return Scene(
    size=tuple(arrays["sizes"][image].tolist()),
    boxes=arrays["boxes"][objects] if given["boxes"] else None,
    scores=arrays["scores"][objects],
    labels=_names(arrays, "label", objects),
    features=arrays["features"][objects] if given["features"] else None,
    edges=arrays["edges"][edges] if given["edges"] else None,
    edge_labels=_names(arrays, "edge_label", edges),
    edge_scores=arrays["edge_scores"][edges] if given["edge_scores"] else (),
  )


def _flat(
  scene: Scene, width: int, labels: dict[str, int], predicates: dict[str, int]
) -> dict[str, np.ndarray]:
  """Returns a scene's part of each array and of the tables of names."""
  num, scored = scene.num_objects, len(scene.edge_scores) > 0
  given = (scene.boxes, scene.features, scene.edges)
  boxes = np.zeros((num, 4)) if scene.boxes is None else scene.boxes
  features = scene.features
  if features is None:
    features = np.zeros((num, width), np.float16)
  elif features.dtype != np.float16:
    features = features.astype(np.float32)
  edges = np.reshape([] if scene.edges is None else scene.edges, (-1, 2))
  edge_scores = scene.edge_scores if scored else np.zeros(len(edges))
  return {
    "given": np.array([[*(part is not None for part in given), scored]]),
    "sizes": np.array([scene.size], np.int32),
    "boxes": np.asarray(boxes, np.float32),
    "scores": np.asarray(scene.scores, np.float32),
    "labels": _number(scene.labels, num, labels),
    "features": features,
    "edges": np.asarray(edges, np.int32),
    "edge_labels": _number(scene.edge_labels, len(edges), predicates),
    "edge_scores": np.asarray(edge_scores, np.float32),
  }


def _names(
  arrays: Mapping[str, np.ndarray], key: str, part: slice
) -> list[str]:
  """Returns a name for each number, "" for none; empty if all are none."""
  numbers, names = arrays[f"{key}s"][part], arrays[f"{key}_names"]
  if (numbers < 0).all():
    return []
  return [str(names[number]) if number >= 0 else "" for number in numbers]


def _number(
  names: Sequence[str], count: int, table: dict[str, int]
) -> np.ndarray:
  """Returns int32[count], numbers of names; -1 without names."""
  if not len(names):
    return np.full(count, -1, np.int32)
  return np.array([table.setdefault(n, len(table)) for n in names], np.int32)


def _check_shapes(scene: Scene, width: int, where: str) -> None:
  num_edges = 0 if scene.edges is None else len(scene.edges)
  lengths: dict[Any, int] = {"O": scene.num_objects, "E": num_edges}
  lengths["Dv"] = width
  for name, part in scene._asdict().items():
    axes = (2,) if name == "size" else FORM[name][1:]
    shape = tuple(lengths.get(axis, axis) for axis in axes)
    found = np.shape(part)
    absent = part is None or (name not in ("size", "scores") and found[0] == 0)
    if not absent and found != shape:
      raise ValueError(
        f"{where}: expected {name} of shape {shape}, got {found}"
      )


def _offsets(lengths: Iterable[int]) -> np.ndarray:
  return np.cumsum([0, *lengths], dtype=np.int64)
