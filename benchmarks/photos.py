"""Pictures that cost what photos do: to decode, to resize and to store.

Several frequencies, as in photos, things with edges, and grain. At 800 x 600 a
JPEG file takes about 120 KB and the square of 224 pixels 80 KB as PNG; of 39 of
MNRE's pictures, 143 and 79 KB.
"""

import io

import numpy as np
from PIL import Image, ImageChops

_QUALITY = 85
# Of the sheets that pictures are cut from: they are larger than pictures.
_NUM_SHEETS, _MARGIN = 12, 1.5
# (side in pixels of what is of one colour, how strong it is).
_OCTAVES = ((200, 60.0), (50, 35.0), (13, 9.0), (5, 3.0))
_GRAIN = 7.0
_NUM_THINGS = 4


class Photos:
  """Makes any number of distinct pictures of one size."""

  def __init__(self, size: tuple[int, int], seed: int = 0):
    """Paints the sheets that pictures are cut from.

    Args:
      size: (width, height) in pixels.
      seed: of all pictures.
    """
    self._size = size
    self._seed = seed
    rng = np.random.default_rng(seed)
    whole = tuple(round(_MARGIN * side) for side in size)
    self._sheets = [_paint(whole, rng) for _ in range(_NUM_SHEETS)]
    grain = rng.normal(128, _GRAIN, (whole[1], whole[0]))
    grain = Image.fromarray(grain.clip(0, 255).astype(np.uint8))
    self._grain = grain.convert("RGB")

  def make(self, number: int) -> bytes:
    """Returns the JPEG file of a picture."""
    rng = np.random.default_rng([self._seed, number])
    picture = Image.blend(self._cut(rng), self._cut(rng), rng.uniform(0.2, 0.5))
    for _ in range(_NUM_THINGS):
      size = tuple(int(side * rng.uniform(0.1, 0.4)) for side in self._size)
      corner = [
        int(rng.integers(0, side - part))
        for side, part in zip(self._size, size, strict=True)
      ]
      picture.paste(self._cut(rng).resize(size), corner)
    grain = _window(self._grain, self._size, rng)
    picture = ImageChops.add(picture, grain, offset=-128)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()

  def _cut(self, rng: np.random.Generator) -> Image.Image:
    """Returns a part of a sheet."""
    sheet = self._sheets[rng.integers(_NUM_SHEETS)]
    return _window(sheet, self._size, rng)


def _window(
  sheet: Image.Image, size: tuple[int, int], rng: np.random.Generator
) -> Image.Image:
  left, top = (
    int(rng.integers(0, whole - side))
    for whole, side in zip(sheet.size, size, strict=True)
  )
  return sheet.crop((left, top, left + size[0], top + size[1]))


def _paint(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
  """Returns a sheet of (width, height) pixels."""
  width, height = size
  pixels = np.full((height, width, 3), rng.uniform(60, 190, 3))
  for side, strength in _OCTAVES:
    shape = (-(-height // side), -(-width // side))
    # Brightness varies more than colour.
    grid = (
      2 * rng.integers(0, 256, (*shape, 1)) + rng.integers(0, 256, (*shape, 3))
    ) // 3
    layer = Image.fromarray(grid.astype(np.uint8)).resize(
      size, Image.Resampling.BICUBIC
    )
    pixels += strength / 73 * (np.asarray(layer, np.float64) - 127.5)
  return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
