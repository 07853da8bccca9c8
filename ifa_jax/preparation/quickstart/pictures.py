"""Pictures of the quickstart posts: an emblem among other things, with boxes.

Only the emblem depends on the relation. The other things are a person for every
post's head; a pin, flag or sign for the tail, drawn alike for people,
organizations and places; and a few pale shapes.
"""

import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from ifa_jax.preparation.quickstart import shapes

# Role -> side of an object, as a share of the picture's shorter side, and the
# detector's score.
SHARES = {
  "emblem": (0.32, 0.46),
  "head": (0.24, 0.34),
  "tail": (0.24, 0.34),
  "shape": (0.11, 0.19),
}
SCORES = {
  "emblem": (0.8, 0.99),
  "head": (0.5, 0.95),
  "tail": (0.5, 0.95),
  "shape": (0.3, 0.75),
}


class Box(NamedTuple):
  """An object as a detector finds it.

  Attributes:
    corners: (x0, y0, x1, y1) in pixels of the picture.
    score: the detector's confidence, in [0, 1].
    role: "emblem", "shape", "head" or "tail".
  """

  corners: tuple[float, float, float, float]
  score: float
  role: str


def draw(
  emblem: str, rng: np.random.Generator
) -> tuple[Image.Image, list[Box]]:
  """Returns one picture and its boxes, best score first.

  Args:
    emblem: one of `shapes.EMBLEMS`.
    rng: draws everything else.
  """
  width, height = (int(length) for length in rng.integers(120, 201, 2))
  picture = _background(width, height, rng)
  # The emblem comes first, so that it has room.
  entities = [role for role in ("head", "tail") if rng.random() < 0.75]
  taken, boxes = [], []
  for role in ["emblem", *entities, *["shape"] * rng.integers(1, 4)]:
    size = round(rng.uniform(*SHARES[role]) * min(width, height))
    corner = _free_corner(picture.size, size, role, taken, rng)
    if corner is None:
      continue
    taken.append((*corner, size))
    tile = shapes.tile(_thing(role, emblem, rng), size, rng)
    picture.paste(tile, corner, tile)
    # The detector misses half of the pale shapes.
    if role != "shape" or rng.random() < 0.5:
      boxes.append(_detect(picture.size, corner, size, role, rng))
  return picture, sorted(boxes, key=lambda box: -box.score)


def encode(picture: Image.Image, rng: np.random.Generator) -> bytes:
  """Returns a JPEG file of random quality."""
  stream = io.BytesIO()
  picture.save(stream, "JPEG", quality=int(rng.integers(76, 91)))
  return stream.getvalue()


def _thing(role: str, emblem: str, rng: np.random.Generator) -> str:
  if role in ("tail", "shape"):
    return str(rng.choice(shapes.TAGS if role == "tail" else shapes.SHAPES))
  return emblem if role == "emblem" else "person"


def _free_corner(
  extent: tuple[int, int],
  size: int,
  role: str,
  taken: Sequence[tuple[int, int, int]],
  rng: np.random.Generator,
) -> tuple[int, int] | None:
  """Returns (x, y) of a free square of a side, or None in a crowded picture.

  Emblems stay in the centre square: the rest of a global image is cropped.
  """
  side = min(extent)
  for _ in range(40):
    corner = []
    for length in extent:
      low = (length - side) // 2 if role == "emblem" else 0
      corner.append(int(rng.integers(low + 2, length - low - size - 1)))
    x, y = corner
    if all(
      x >= x1 + other or y >= y1 + other or x1 >= x + size or y1 >= y + size
      for x1, y1, other in taken
    ):
      return x, y
  return None


def _detect(
  extent: tuple[int, int],
  corner: tuple[int, int],
  size: int,
  role: str,
  rng: np.random.Generator,
) -> Box:
  """Returns a square's `Box`; each edge is off by up to 4 % of the side."""
  x, y = corner
  edges = np.array([x, y, x + size, y + size])
  edges = edges + rng.uniform(-0.04, 0.04, 4) * size
  edges = np.clip(edges, 0, [*extent, *extent]).round(1)
  score = round(rng.uniform(*SCORES[role]), 3)
  return Box(tuple(edges.tolist()), score, role)


def _background(
  width: int, height: int, rng: np.random.Generator
) -> Image.Image:
  """Returns a noisy gradient between two muted colours."""
  hue, angle = rng.uniform(), rng.uniform(0, 2 * math.pi)
  bright = shapes.color(hue, rng.uniform(0.1, 0.35), rng.uniform(0.8, 0.96))
  hue += rng.uniform(-0.2, 0.2)
  dark = shapes.color(hue, rng.uniform(0.15, 0.45), rng.uniform(0.5, 0.75))
  x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
  ramp = (math.cos(angle) * x + math.sin(angle) * y) / 2.83 + 0.5
  pixels = bright + ramp[..., None] * np.subtract(dark, bright)
  pixels += 4 * rng.standard_normal((height, width, 1), dtype=np.float32)
  return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
