"""What the quickstart pictures show, each thing drawn on its own square tile.

Coordinates are in [0, 1], x to the right and y down; `EMBLEMS`, `TAGS` and
`SHAPES` list the names that `tile` knows, beside "person".
"""

import colorsys
import math

import numpy as np
from PIL import Image, ImageDraw

# Hue in turns. A picture's hue is drawn around its emblem's, so that colour
# hints at the emblem and shape settles it.
EMBLEMS = {"heart": 0.97, "star": 0.13, "cup": 0.4, "house": 0.61}
HUE_STD = 0.03
TAGS = ("pin", "flag", "sign")
SHAPES = ("disc", "ring", "triangle", "square", "cross")

# Tiles are drawn this many times larger, then shrunk.
SUPERSAMPLE = 3
Rgb = tuple[int, int, int]
INK = (44, 38, 56)
WHITE = (252, 250, 245)


def color(hue: float, saturation: float, value: float) -> Rgb:
  """Returns (red, green, blue) in 0..255; hue in turns, the rest in 0..1."""
  red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
  return round(255 * red), round(255 * green), round(255 * blue)


def tile(name: str, size: int, rng: np.random.Generator) -> Image.Image:
  """Draws one thing on a transparent square; emblems are slightly turned.

  Args:
    name: an emblem, tag or shape, or "person".
    size: side of the square in pixels.
    rng: a numpy Generator, for colour and angle.

  Returns:
    A PIL image in RGBA.
  """
  canvas = _Canvas(size * SUPERSAMPLE)
  if name not in EMBLEMS:
    pale = rng.uniform(0.15, 0.4), rng.uniform(0.6, 0.9)
    _DRAW[name](canvas, color(rng.uniform(), *pale))
    return canvas.image.resize((size, size), Image.Resampling.BOX)
  hue = rng.normal(EMBLEMS[name], HUE_STD)
  _DRAW[name](canvas, color(hue, rng.uniform(0.7, 0.95), rng.uniform(0.8, 1)))
  angle = rng.uniform(-10, 10)
  turned = canvas.image.rotate(angle, Image.Resampling.BILINEAR)
  return turned.resize((size, size), Image.Resampling.BOX)


class _Canvas:
  """A square to draw on in unit coordinates, with outlines of one width."""

  def __init__(self, size: int):
    # Transparent in the outline's colour: edges shrink to no other hue.
    self.image = Image.new("RGBA", (size, size), (*INK, 0))
    self._size = size
    self._draw = ImageDraw.Draw(self.image)
    self._line = max(2, round(0.03 * size))

  def _scale(self, points):
    return [(x * self._size, y * self._size) for x, y in points]

  def polygon(self, points, fill, outline=INK):
    points = self._scale(points)
    self._draw.polygon(points, fill)
    closed = [*points, *points[:2]]
    self._draw.line(closed, outline, self._line, joint="curve")

  def ellipse(self, x0, y0, x1, y1, fill, outline=INK, line=None):
    box = self._scale([(x0, y0), (x1, y1)])
    width = self._line if line is None else round(line * self._size)
    self._draw.ellipse(box, fill, outline, width)

  def rectangle(self, x0, y0, x1, y1, fill, outline=INK, radius=0.0):
    box = self._scale([(x0, y0), (x1, y1)])
    self._draw.rounded_rectangle(
      box, radius * self._size, fill, outline, self._line
    )


def _heart(canvas: _Canvas, fill: Rgb) -> None:
  points = []
  for t in np.linspace(0, 2 * math.pi, 48, endpoint=False):
    x = 16 * math.sin(t) ** 3
    y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t)
    points.append((0.5 + 0.026 * x, 0.46 - 0.026 * (y - math.cos(4 * t))))
  canvas.polygon(points, fill)


def _star(canvas: _Canvas, fill: Rgb) -> None:
  points = []
  for k in range(10):
    radius, angle = (0.2, 0.46)[k % 2 == 0], math.pi * (k / 5 - 0.5)
    points.append(
      (0.5 + radius * math.cos(angle), 0.53 + radius * math.sin(angle))
    )
  canvas.polygon(points, fill)


def _house(canvas: _Canvas, fill: Rgb) -> None:
  canvas.rectangle(0.18, 0.42, 0.82, 0.92, fill)
  canvas.polygon([(0.06, 0.46), (0.5, 0.08), (0.94, 0.46)], fill)
  canvas.rectangle(0.4, 0.6, 0.6, 0.92, WHITE)


def _cup(canvas: _Canvas, fill: Rgb) -> None:
  canvas.ellipse(0.52, 0.3, 0.94, 0.72, None, INK, 0.13)
  canvas.ellipse(0.55, 0.33, 0.91, 0.69, None, fill, 0.07)
  canvas.rectangle(0.1, 0.2, 0.72, 0.88, fill, radius=0.12)
  canvas.ellipse(0.1, 0.12, 0.72, 0.32, WHITE)


def _person(canvas: _Canvas, fill: Rgb) -> None:
  canvas.ellipse(0.18, 0.5, 0.82, 1.3, fill)
  canvas.ellipse(0.3, 0.08, 0.7, 0.5, WHITE)


def _pin(canvas: _Canvas, fill: Rgb) -> None:
  canvas.polygon([(0.24, 0.5), (0.76, 0.5), (0.5, 0.95)], fill)
  canvas.ellipse(0.2, 0.06, 0.8, 0.64, fill)
  canvas.ellipse(0.38, 0.23, 0.62, 0.47, WHITE)


def _flag(canvas: _Canvas, fill: Rgb) -> None:
  canvas.rectangle(0.2, 0.06, 0.28, 0.96, WHITE)
  canvas.polygon([(0.28, 0.1), (0.9, 0.32), (0.28, 0.56)], fill)


def _sign(canvas: _Canvas, fill: Rgb) -> None:
  canvas.rectangle(0.46, 0.5, 0.54, 0.96, WHITE)
  canvas.rectangle(0.1, 0.12, 0.9, 0.56, fill, radius=0.06)
  canvas.rectangle(0.22, 0.26, 0.78, 0.3, WHITE, WHITE)
  canvas.rectangle(0.22, 0.4, 0.62, 0.44, WHITE, WHITE)


def _disc(canvas: _Canvas, fill: Rgb) -> None:
  canvas.ellipse(0.1, 0.1, 0.9, 0.9, fill)


def _ring(canvas: _Canvas, fill: Rgb) -> None:
  canvas.ellipse(0.1, 0.1, 0.9, 0.9, None, fill, 0.2)


def _triangle(canvas: _Canvas, fill: Rgb) -> None:
  canvas.polygon([(0.5, 0.1), (0.93, 0.85), (0.07, 0.85)], fill)


def _square(canvas: _Canvas, fill: Rgb) -> None:
  canvas.rectangle(0.14, 0.14, 0.86, 0.86, fill)


def _cross(canvas: _Canvas, fill: Rgb) -> None:
  canvas.rectangle(0.38, 0.1, 0.62, 0.9, fill, fill)
  canvas.rectangle(0.1, 0.38, 0.9, 0.62, fill, fill)


_DRAW = {
  "heart": _heart,
  "star": _star,
  "house": _house,
  "cup": _cup,
  "person": _person,
  "pin": _pin,
  "flag": _flag,
  "sign": _sign,
  "disc": _disc,
  "ring": _ring,
  "triangle": _triangle,
  "square": _square,
  "cross": _cross,
}
