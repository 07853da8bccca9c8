"""The scene of a picture, and all scenes of a split as flat arrays.

The objects of all pictures follow each other, and so do edges and heads; where
those of the next picture or sentence begin, an array of offsets tells.
`validate` lists the arrays.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

# What a source may not tell of a scene; `given` has a column for each.
PARTS = ("boxes", "features", "edges", "edge_scores")

# The type of an optional array. `Any` instead of None, because callers check
# `given`, not the array, and a type checker cannot see that.
Given = np.ndarray | Any


class Scene(NamedTuple):
  """The objects of one picture, the best first. M objects, E edges.

  Attributes:
    size: (width, height) of the picture in pixels; (0, 0) if it has no boxes.
    boxes: float32[M, 4] of (x0, y0, x1, y1) in pixels, or None if the source
      does not tell where its objects are.
    scores: float32[M], descending; all 0 if the source tells their order alone.
    labels: M class names, or none.
    features: float16 or float32 [M, Dv], or None.
    edges: int[E, 2] of (subject, object), or None if the source tells no
      relations. No edge is another thing: none was found.
    edge_labels: E predicates, or none.
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


_NOTHING = Scene((0, 0), None, np.zeros(0))


class _Names:
  """Numbers names in the order in which they first occur."""

  def __init__(self):
    self._numbers: dict[str, int] = {}

  def numbers(self, names: Sequence[str], count: int) -> np.ndarray:
    """Returns int32[count]: the numbers of names, -1 where there are none."""
    if not len(names):
      return np.full(count, -1, np.int32)
    new = [self._numbers.setdefault(n, len(self._numbers)) for n in names]
    return np.array(new, np.int32)

  def table(self) -> np.ndarray:
    """Returns all names by number."""
    return np.array(list(self._numbers), np.str_)


def pack(
  scenes: Mapping[str, Scene], heads: Mapping[str, Sequence[int]], where: str
) -> dict[str, np.ndarray]:
  """Returns the flat arrays; what the source of a scene does not tell is 0.

  Args:
    scenes: by the picture's file name.
    heads: by the row's id.
    where: the file's name, for messages.

  Raises:
    ValueError: if the parts of a scene have other lengths than its objects or
      edges, or features another width than others; names the image.
  """
  width = _width(scenes)
  labels, predicates = _Names(), _Names()
  parts = [_flat(_NOTHING, width, labels, predicates)]
  for img_id, scene in scenes.items():
    _check_shapes(scene, width, f"{where}: image {img_id!r}")
    parts.append(_flat(scene, width, labels, predicates))
  joined = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
  # The first part only gives the types.
  for key in ("given", "sizes"):
    joined[key] = joined[key][1:]
  return joined | {
    "images": np.array(list(scenes), np.str_),
    "object_offsets": _offsets(len(part["scores"]) for part in parts[1:]),
    "edge_offsets": _offsets(len(part["edges"]) for part in parts[1:]),
    "label_names": labels.table(),
    "edge_label_names": predicates.table(),
    "rows": np.array(list(heads), np.str_),
    "head_offsets": _offsets(len(row) for row in heads.values()),
    "heads": np.array([h for row in heads.values() for h in row], np.int32),
  }


def unpack(arrays: Mapping[str, np.ndarray], image: int) -> Scene:
  """Returns the scene of a picture; its arrays are views.

  Args:
    arrays: as `pack` returns them.
    image: the picture's number.
  """
  objects = slice(*arrays["object_offsets"][image : image + 2])
  edges = slice(*arrays["edge_offsets"][image : image + 2])
  given = dict(zip(PARTS, arrays["given"][image].tolist(), strict=True))
  names = lambda key, part: [  # noqa: E731
    str(arrays[f"{key}_names"][number])
    for number in arrays[f"{key}s"][part]
    if number >= 0
  ]
  return Scene(
    size=tuple(arrays["sizes"][image].tolist()),
    boxes=arrays["boxes"][objects] if given["boxes"] else None,
    scores=arrays["scores"][objects],
    labels=names("label", objects),
    features=arrays["features"][objects] if given["features"] else None,
    edges=arrays["edges"][edges] if given["edges"] else None,
    edge_labels=names("edge_label", edges),
    edge_scores=arrays["edge_scores"][edges] if given["edge_scores"] else (),
  )


def _width(scenes: Mapping[str, Scene]) -> int:
  """Returns the width of the first features, 0 if there are none."""
  for scene in scenes.values():
    if scene.features is not None:
      return np.shape(scene.features)[-1]
  return 0


def _flat(
  scene: Scene, width: int, labels: _Names, predicates: _Names
) -> dict[str, np.ndarray]:
  """Returns what one scene adds to each array."""
  num = scene.num_objects
  boxes, features, edges = scene.boxes, scene.features, scene.edges
  boxes = np.zeros((num, 4)) if boxes is None else boxes
  features = (
    np.zeros((num, width), np.float16) if features is None else features
  )
  if features.dtype != np.float16:
    features = features.astype(np.float32)
  edges = np.zeros((0, 2)) if edges is None else np.reshape(edges, (-1, 2))
  scored = len(scene.edge_scores) > 0
  given = (scene.boxes, scene.features, scene.edges)
  return {
    "given": np.array([[*(part is not None for part in given), scored]]),
    "sizes": np.array([scene.size], np.int32),
    "boxes": np.asarray(boxes, np.float32),
    "scores": np.asarray(scene.scores, np.float32),
    "labels": labels.numbers(scene.labels, num),
    "features": features,
    "edges": np.asarray(edges, np.int32),
    "edge_labels": predicates.numbers(scene.edge_labels, len(edges)),
    "edge_scores": np.asarray(
      scene.edge_scores if scored else np.zeros(len(edges)), np.float32
    ),
  }


def _check_shapes(scene: Scene, width: int, where: str) -> None:
  """Raises ValueError unless the parts of a scene fit each other."""
  num = scene.num_objects
  num_edges = 0 if scene.edges is None else len(scene.edges)
  wanted = {
    "size": (2,),
    "boxes": (num, 4),
    "scores": (num,),
    "labels": (num,),
    "features": (num, width),
    "edges": (num_edges, 2),
    "edge_labels": (num_edges,),
    "edge_scores": (num_edges,),
  }
  for name, shape in wanted.items():
    part = getattr(scene, name)
    found = np.shape(part)
    absent = part is None or (name not in ("size", "scores") and found[0] == 0)
    if not absent and found != shape:
      raise ValueError(
        f"{where}: wanted {name} of shape {shape}, found {found}"
      )


def _offsets(lengths: Iterable[int]) -> np.ndarray:
  """Returns int64[n+1]: where each of n parts begins, and the end."""
  return np.cumsum([0, *lengths], dtype=np.int64)
