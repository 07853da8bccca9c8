"""Finds objects in pictures: those of a detector's classes, and named ones.

Boxes have the form of a boxes file (see `data.images.boxes`): a detected one
has its class as "label", a grounded one the name as "phrase". A query depends
only on its name.
"""

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import Image

from ifa_jax.detection import region_encoder, scene_builder, torch_models
from ifa_jax.detection.queries import Queries

DETECTOR = "facebook/detr-resnet-50"
GROUNDER = "IDEA-Research/grounding-dino-tiny"

Found = dict[str, Any]


class ObjectFinder:
  """A detector, a grounder, or both.

  Attributes:
    device: of PyTorch.
    batch_size: maximum pictures, or names in pictures, in a forward pass.
  """

  def __init__(
    self,
    detector: str | None = DETECTOR,
    grounder: str | None = GROUNDER,
    *,
    threshold: float = scene_builder.MIN_SCORE,
    max_objects: int = region_encoder.NUM_OBJECTS,
    batch_size: int | None = None,
    device: str | None = None,
  ):
    """Loads the models.

    Args:
      detector: folder or hub id of a model for object detection, or None.
      grounder: of one for zero-shot object detection, or None.
      threshold: a box is kept if its score is higher.
      max_objects: maximum boxes of a picture without a phrase, and with each
        phrase.
      batch_size: None for 1 on a CPU and 8 on a GPU.
      device: of PyTorch; None for a GPU if there is one, else the CPU.

    Raises:
      ValueError: in one line, for a threshold that is not finite, if there is
        no model to load, if one cannot be loaded, or if a package is missing.
    """
    if not detector and not grounder:
      raise ValueError("expected a detector, a grounder or both, got neither")
    if not math.isfinite(threshold):
      raise ValueError(f"threshold: expected a finite number, got {threshold}")
    self.device = torch_models.pick_device(device)
    self.batch_size = torch_models.pick_batch_size(batch_size, self.device)
    self._threshold = threshold
    self._max_objects = max_objects
    # Tokenizers fail if two threads use them at once.
    self._lock = threading.Lock()
    self._detect, self._detector = _load(
      torch_models.DETECTION, detector, self.device
    )
    self._ground, self._grounder = _load(
      torch_models.GROUNDING, grounder, self.device
    )
    if self._ground:
      self._queries = Queries(
        self._ground.tokenizer, self._ground.model.config, str(grounder)
      )

  def find(
    self, pictures: Sequence[Image.Image], names: Sequence[Sequence[str]]
  ) -> list[list[Found]]:
    """Returns each picture's boxes: detected ones, then those of each name.

    Args:
      pictures: RGB, upright.
      names: the names to look for in each picture, each once.

    Returns:
      Boxes as in a boxes file, best first within each kind, clipped to the
      picture. There are none in a picture more than 100 times longer than it is
      wide, and none for a name without a word that the grounder knows.

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
    """Returns everything that boxes depend on; hashes the models' files."""
    models = {"detector": self._detector, "grounder": self._grounder}
    return {
      **{
        kind: torch_models.describe(source) if source else None
        for kind, source in models.items()
      },
      "threshold": self._threshold,
      "max_objects": self._max_objects,
    }

  def _run(self, pipeline: Any, items: list[Any]) -> list[list[Found]]:
    with torch_models.enough_memory(self.device, self.batch_size):
      return pipeline(
        items, threshold=self._threshold, batch_size=self.batch_size
      )

  def _detected(self, pictures: list[Image.Image]) -> list[list[Found]]:
    if not self._detect:
      return [[] for _ in pictures]
    answered = self._run(self._detect, pictures)
    return [
      self._best(answers, picture.size, "label")
      for picture, answers in zip(pictures, answered, strict=True)
    ]

  def _grounded(
    self, pictures: list[Image.Image], names: list[Sequence[str]]
  ) -> list[list[Found]]:
    found: list[list[Found]] = [[] for _ in pictures]
    if not self._ground:
      return found
    # Names with equal queries are looked for once.
    queries = [{name: self._queries.make(name) for name in n} for n in names]
    asked = [i for i, by_name in enumerate(queries) if any(by_name.values())]
    items = [
      {
        "image": pictures[i],
        "candidate_labels": [*filter(None, dict.fromkeys(queries[i].values()))],
      }
      for i in asked
    ]
    answered = self._run(self._ground, items) if items else []
    for i, answers in zip(asked, answered, strict=True):
      for name, query in queries[i].items():
        own = [a | {"label": name} for a in answers if a["label"] == query]
        found[i] += self._best(own, pictures[i].size, "phrase")
    return found

  def _best(
    self, answers: Iterable[Mapping[str, Any]], size: tuple[int, int], key: str
  ) -> list[Found]:
    """Returns the best boxes that are not empty, with their labels as `key`."""
    boxes = [
      {
        "box": _clip(answer["box"], size),
        "score": answer["score"],
        key: answer["label"],
      }
      for answer in answers
    ]
    kept = [box for box in boxes if _has_pixels(box["box"])]
    return sorted(kept, key=lambda box: -box["score"])[: self._max_objects]


def _load(task: str, name: str | None, device: str) -> tuple[Any, Any]:
  """Returns a pipeline and its source, or None twice."""
  return (
    torch_models.load_pipeline(task, name, device) if name else (None, None)
  )


def _same_size(pictures: Sequence[Image.Image]) -> Iterable[list[int]]:
  """Groups the indices of pictures by size, without those too long.

  Only pictures of one size can share a forward pass: pipelines stack pictures
  without padding (pipelines/base.py:92).
  """
  groups: dict[tuple[int, int], list[int]] = {}
  for i, picture in enumerate(pictures):
    if not torch_models.is_too_long(picture):
      groups.setdefault(picture.size, []).append(i)
  return groups.values()


def _clip(box: Mapping[str, int], size: tuple[int, int]) -> list[int]:
  """Returns [x0, y0, x1, y1] within the picture."""
  keys = ("xmin", "ymin", "xmax", "ymax")
  return [
    min(max(box[key], 0), length)
    for key, length in zip(keys, size * 2, strict=True)
  ]


def _has_pixels(edges: Sequence[int]) -> bool:
  """Returns whether a box has an area, and cannot be read as parts of 1."""
  x0, y0, x1, y1 = edges
  return x0 < x1 and y0 < y1 and max(edges) > 1
