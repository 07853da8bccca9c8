"""Finds objects in pictures: those of a detector's classes, and those named.

The boxes have the form of a boxes file (see `data.images.boxes`): a detected
one has its class as "label", a grounded one the name as "phrase". What a name
is asked for is decided by the name alone.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import Image

from ifa_jax.detection import pipelines, scene_builder
from ifa_jax.detection.queries import Queries

DETECTOR = "facebook/detr-resnet-50"
GROUNDER = "IDEA-Research/grounding-dino-tiny"

# On a CPU more pictures at once take more memory and no less time.
_BATCH_SIZES = {"cpu": 1}
_BATCH_SIZE = 8
# Beyond it, nothing is left of the shorter side of a picture whose longer side
# is made to fit.
_MAX_ASPECT = 100

Found = dict[str, Any]


class ObjectFinder:
  """A detector, a grounder, or both.

  Attributes:
    device: of PyTorch.
    batch_size: the most pictures, or names in pictures, in a forward pass.
  """

  def __init__(
    self,
    detector: str | None = DETECTOR,
    grounder: str | None = GROUNDER,
    *,
    threshold: float = scene_builder.MIN_SCORE,
    max_objects: int = scene_builder.NUM_OBJECTS,
    batch_size: int | None = None,
    device: str | None = None,
  ):
    """Loads the models.

    Args:
      detector: folder or hub id of a model for object detection, or None.
      grounder: of one for zero-shot object detection, or None.
      threshold: what the score of a box must exceed.
      max_objects: the most boxes of a picture without a phrase, and the most
        with the same phrase.
      batch_size: None for 1 on a CPU and 8 on a GPU.
      device: of PyTorch; None for a GPU where there is one, else the CPU.

    Raises:
      ValueError: in one line, if there is no model to load, if one cannot be
        loaded, or if a package is missing.
    """
    if not detector and not grounder:
      raise ValueError("want a detector, a grounder or both, found neither")
    self.device = pipelines.pick_device(device)
    self.batch_size = batch_size or _BATCH_SIZES.get(self.device, _BATCH_SIZE)
    self._threshold = threshold
    self._max_objects = max_objects
    self._sources = {}
    # Tokenizers fail where two threads cut texts at once.
    self._lock = threading.Lock()
    if detector:
      self._detect = self._load("detector", pipelines.DETECTION, detector)
    if grounder:
      self._ground = self._load("grounder", pipelines.GROUNDING, grounder)
      self._queries = Queries(
        self._ground.tokenizer, self._ground.model.config, grounder
      )

  def find(
    self, pictures: Sequence[Image.Image], names: Sequence[Sequence[str]]
  ) -> list[list[Found]]:
    """Returns each picture's boxes: detected ones, then those of each name.

    Args:
      pictures: RGB, upright.
      names: of each picture, what is looked for in it; each name once.

    Returns:
      Boxes as a boxes file holds them, best first within each kind, cut off at
      the picture's edges. There are none in a picture more than 100 times
      longer than it is wide, and none for a name without a word that the
      grounder knows.

    Raises:
      ValueError: if the device has not enough memory.
    """
    found: list[list[Found]] = [[] for _ in pictures]
    for indices in _same_size(pictures):
      group = [pictures[i] for i in indices]
      with self._lock:
        detected = self._detected(group)
        grounded = self._grounded(group, [names[i] for i in indices])
      for i, *parts in zip(indices, detected, grounded, strict=True):
        found[i] = [box for part in parts for box in part]
    return found

  def settings(self) -> dict[str, Any]:
    """Returns what boxes depend on; reads the files of both models."""
    models = {
      kind: pipelines.describe(self._sources[kind])
      if kind in self._sources
      else None
      for kind in ("detector", "grounder")
    }
    return models | {
      "threshold": self._threshold,
      "max_objects": self._max_objects,
    }

  def _load(self, kind: str, task: str, name: str) -> Any:
    """Loads a pipeline and remembers where it lies."""
    pipeline, self._sources[kind] = pipelines.load(task, name, self.device)
    return pipeline

  def _run(self, pipeline: Any, items: list[Any]) -> list[list[Found]]:
    """Returns what a pipeline finds in each item."""
    import torch

    try:
      return pipeline(
        items, threshold=self._threshold, batch_size=self.batch_size
      )
    except torch.OutOfMemoryError:
      raise ValueError(
        f"{self.device}: not enough memory for {self.batch_size} pictures at"
        " once; give a smaller batch_size"
      ) from None

  def _detected(self, pictures: list[Image.Image]) -> list[list[Found]]:
    """Returns the boxes of each picture's detected objects."""
    if "detector" not in self._sources:
      return [[] for _ in pictures]
    return [
      [
        box | {"label": label}
        for box, label in self._best(answers, picture.size)
      ]
      for picture, answers in zip(
        pictures, self._run(self._detect, pictures), strict=True
      )
    ]

  def _grounded(
    self, pictures: list[Image.Image], names: list[Sequence[str]]
  ) -> list[list[Found]]:
    """Returns the boxes of each picture's names, a name after the other."""
    found: list[list[Found]] = [[] for _ in pictures]
    if "grounder" not in self._sources:
      return found
    queries = [self._make_queries(listed) for listed in names]
    asked = [i for i, by_name in enumerate(queries) if by_name]
    items = [
      {
        "image": pictures[i],
        "candidate_labels": [*dict.fromkeys(queries[i].values())],
      }
      for i in asked
    ]
    answered = self._run(self._ground, items) if items else []
    for i, answers in zip(asked, answered, strict=True):
      for name, query in queries[i].items():
        own = [answer for answer in answers if answer["label"] == query]
        best = self._best(own, pictures[i].size)
        found[i] += [box | {"phrase": name} for box, _ in best]
    return found

  def _make_queries(self, names: Sequence[str]) -> dict[str, str]:
    """Returns name -> query of the names that can be looked for."""
    made = {name: self._queries.make(name) for name in names}
    return {name: query for name, query in made.items() if query}

  def _best(
    self, answers: Iterable[Mapping[str, Any]], size: tuple[int, int]
  ) -> list[tuple[Found, str]]:
    """Returns the best boxes that hold something, with their labels."""
    boxes = [
      (
        {"box": _clip(answer["box"], size), "score": answer["score"]},
        answer["label"],
      )
      for answer in answers
    ]
    held = [pair for pair in boxes if _holds(pair[0]["box"])]
    held.sort(key=lambda pair: -pair[0]["score"])
    return held[: self._max_objects]


def _same_size(pictures: Sequence[Image.Image]) -> Iterable[list[int]]:
  """Returns the indices of pictures by size, without those too long.

  Pipelines stack pictures and pad none (pipelines/base.py:92), so only those
  of one size can share a forward pass.
  """
  groups: dict[tuple[int, int], list[int]] = {}
  for i, picture in enumerate(pictures):
    if max(picture.size) <= _MAX_ASPECT * min(picture.size):
      groups.setdefault(picture.size, []).append(i)
  return groups.values()


def _clip(box: Mapping[str, int], size: tuple[int, int]) -> list[int]:
  """Returns [x0, y0, x1, y1] in whole pixels of the picture."""
  width, height = size
  edges = zip(
    ("xmin", "ymin", "xmax", "ymax"), (width, height) * 2, strict=True
  )
  return [min(max(box[key], 0), length) for key, length in edges]


def _holds(edges: Sequence[int]) -> bool:
  """Whether a box has an area, and one that reads as pixels."""
  x0, y0, x1, y1 = edges
  return x0 < x1 and y0 < y1 and max(edges) > 1
