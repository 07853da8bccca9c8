"""The things in the quickstart pictures, each drawn on its own square tile.

Coordinates are in [0, 1], x to the right and y down.
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
    name: one of `EMBLEMS`, `TAGS` or `SHAPES`, or "person".
    size: side of the square in pixels.
    rng: draws colour and angle.

  Returns:
    An RGBA image.
  """
  canvas = _Canvas(size * SUPERSAMPLE)
  if name not in EMBLEMS:
    pale = rng.uniform(0.15, 0.4), rng.uniform(0.6, 0.9)
    _draw(name, canvas, color(rng.uniform(), *pale))
    return canvas.image.resize((size, size), Image.Resampling.BOX)
  hue = rng.normal(EMBLEMS[name], HUE_STD)
  _draw(name, canvas, color(hue, rng.uniform(0.7, 0.95), rng.uniform(0.8, 1)))
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

  def polygon(self, points, fill):
    points = self._scale(points)
    self._draw.polygon(points, fill)
    closed = [*points, *points[:2]]
    self._draw.line(closed, INK, self._line, joint="curve")

  def ellipse(self, x0, y0, x1, y1, fill, outline=INK, line=None):
    box = self._scale([(x0, y0), (x1, y1)])
    width = self._line if line is None else round(line * self._size)
    self._draw.ellipse(box, fill, outline, width)

  def rectangle(self, x0, y0, x1, y1, fill, outline=INK, radius=0.0):
    box = self._scale([(x0, y0), (x1, y1)])
    radius *= self._size
    self._draw.rounded_rectangle(box, radius, fill, outline, self._line)


def _draw(name: str, canvas: _Canvas, fill: Rgb) -> None:
  match name:
    case "heart":
      canvas.polygon(_heart_points(), fill)
    case "star":
      canvas.polygon(_star_points(), fill)
    case "house":
      canvas.rectangle(0.18, 0.42, 0.82, 0.92, fill)
      canvas.polygon([(0.06, 0.46), (0.5, 0.08), (0.94, 0.46)], fill)
      canvas.rectangle(0.4, 0.6, 0.6, 0.92, WHITE)
    case "cup":
      canvas.ellipse(0.52, 0.3, 0.94, 0.72, None, INK, 0.13)
      canvas.ellipse(0.55, 0.33, 0.91, 0.69, None, fill, 0.07)
      canvas.rectangle(0.1, 0.2, 0.72, 0.88, fill, radius=0.12)
      canvas.ellipse(0.1, 0.12, 0.72, 0.32, WHITE)
    case "person":
      canvas.ellipse(0.18, 0.5, 0.82, 1.3, fill)
      canvas.ellipse(0.3, 0.08, 0.7, 0.5, WHITE)
    case "pin":
      canvas.polygon([(0.24, 0.5), (0.76, 0.5), (0.5, 0.95)], fill)
      canvas.ellipse(0.2, 0.06, 0.8, 0.64, fill)
      canvas.ellipse(0.38, 0.23, 0.62, 0.47, WHITE)
    case "flag":
      canvas.rectangle(0.2, 0.06, 0.28, 0.96, WHITE)
      canvas.polygon([(0.28, 0.1), (0.9, 0.32), (0.28, 0.56)], fill)
    case "sign":
      canvas.rectangle(0.46, 0.5, 0.54, 0.96, WHITE)
      canvas.rectangle(0.1, 0.12, 0.9, 0.56, fill, radius=0.06)
      canvas.rectangle(0.22, 0.26, 0.78, 0.3, WHITE, WHITE)
      canvas.rectangle(0.22, 0.4, 0.62, 0.44, WHITE, WHITE)
    case "disc":
      canvas.ellipse(0.1, 0.1, 0.9, 0.9, fill)
    case "ring":
      canvas.ellipse(0.1, 0.1, 0.9, 0.9, None, fill, 0.2)
    case "triangle":
      canvas.polygon([(0.5, 0.1), (0.93, 0.85), (0.07, 0.85)], fill)
    case "square":
      canvas.rectangle(0.14, 0.14, 0.86, 0.86, fill)
    case "cross":
      canvas.rectangle(0.38, 0.1, 0.62, 0.9, fill, fill)
      canvas.rectangle(0.1, 0.38, 0.9, 0.62, fill, fill)


def _heart_points() -> list[tuple[float, float]]:
  points = []
  for t in np.linspace(0, 2 * math.pi, 48, endpoint=False):
    x = 16 * math.sin(t) ** 3
    y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t)
    points.append((0.5 + 0.026 * x, 0.46 - 0.026 * (y - math.cos(4 * t))))
  return points


def _star_points() -> list[tuple[float, float]]:
  points = []
  for k in range(10):
    radius, angle = (0.46, 0.2)[k % 2], math.pi * (k / 5 - 0.5)
    points.append(
      (0.5 + radius * math.cos(angle), 0.53 + radius * math.sin(angle))
    )
  return points
