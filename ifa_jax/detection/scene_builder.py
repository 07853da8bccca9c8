"""A picture and the boxes found in it to a scene.

The same for a dataset's pictures and for your own, so that a model is given the
kind of scenes that it was trained on.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ifa_jax.data.images import decode
from ifa_jax.data.images.boxes import Box
from ifa_jax.data.scenes import spatial
from ifa_jax.data.scenes.store import Scene
from ifa_jax.detection.region_encoder import Geometry, RegionEncoder

# That of Scene Graph Benchmark's detector.
MIN_SCORE = 0.2
# A picture, or its (width, height), which is enough for `Geometry`.
Picture = Image.Image | tuple[int, int]


def make_scene(
  picture: Picture,
  listed: Sequence[Box],
  encoder: RegionEncoder,
  num_objects: int | None = None,
  min_score: float = MIN_SCORE,
) -> Scene:
  """Returns a picture's best objects, connected where they are close together.

  A pyramid's scene begins with the whole picture.

  Args:
    picture: RGB; its size is enough for `Geometry`.
    listed: the picture's boxes. Those found for a phrase are objects as well:
      all phrases are names in some row of the picture, whatever its relation.
    encoder: gives the objects' features.
    num_objects: maximum number of boxes; None: the encoder's default.
    min_score: boxes are kept if their score is higher.

  Raises:
    ValueError: for a box outside of the picture.
  """
  most = encoder.num_objects if num_objects is None else num_objects
  chosen = choose(listed, most, min_score)
  if encoder.with_picture:
    # Scores are in descending order.
    best = max([1.0, *(box.score for box in chosen)])
    chosen = [Box((0.0, 0.0, *size_of(picture)), best, None, -1), *chosen]
  scene = describe(picture, chosen, encoder)
  return scene._replace(edges=spatial.edges(scene.boxes, scene.size))


def choose(
  listed: Sequence[Box], num_objects: int, min_score: float
) -> list[Box]:
  """Returns the best boxes, best first; see `make_scene`."""
  over = [box for box in listed if box.score > min_score]
  return sorted(over, key=lambda box: -box.score)[:num_objects]


def describe(
  picture: Picture, chosen: Sequence[Box], encoder: RegionEncoder
) -> Scene:
  """Returns the scene of some boxes, best first, without edges.

  A box's label is its class, or else its phrase. Boxes are clipped to the
  picture; those of `Geometry` are then moved to its square. Features are
  float16, as in files.

  Raises:
    ValueError: for a box outside of the picture, or a size without a picture
      for an encoder of pixels.
  """
  size = size_of(picture)
  edges = np.array([box.edges for box in chosen], np.float32).reshape(-1, 4)
  edges = np.clip(edges, 0, np.array(size * 2, np.float32))
  if isinstance(encoder, Geometry):
    _check_inside(edges, chosen, size)
    edges *= np.array(encoder.size * 2, np.float32) / (size * 2)
    size, features = encoder.size, encoder.encode(edges)
  elif isinstance(picture, Image.Image):
    features = encoder.encode([decode.cut(picture, x.edges) for x in chosen])
  else:
    raise ValueError(f"expected a picture, got its size {size}")
  labels = [box.label or box.phrase or "" for box in chosen]
  return Scene(
    size=size,
    boxes=edges,
    scores=np.array([box.score for box in chosen], np.float32),
    labels=labels if any(labels) else [],
    features=features.astype(np.float16),
  )


def size_of(picture: Picture) -> tuple[int, int]:
  """Returns (width, height) in pixels."""
  return picture.size if isinstance(picture, Image.Image) else picture


def _check_inside(
  clipped: np.ndarray, chosen: Sequence[Box], size: tuple[int, int]
) -> None:
  inside = (clipped[:, :2] < clipped[:, 2:]).all(axis=1)
  if not inside.all():
    box = chosen[int(inside.argmin())]
    raise ValueError(
      f"box {[*box.edges]}: expected a part of the {size[0]} x {size[1]}"
      " picture, got none of it"
    )
