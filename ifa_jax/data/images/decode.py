"""An image file to the square of pixels that the visual stream reads.

A *picture* is a PIL image in RGB, a *square* uint8[size, size, 3]. The geometry
is that of the CLIP image processor: shorter side to `size` with bicubic
interpolation, then the centre.
"""

import contextlib
import io
import math
import os
import warnings
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from ifa_jax.files.shown import one_line

# A 48-megapixel photo passes; a far larger file is a "decompression bomb", an
# attack on the memory.
MAX_PIXELS = 64_000_000

# The formats of the web that this build of PIL supports. PIL opens many more,
# some of them by starting other programs.
Image.init()
_FORMATS = [
  name
  for name in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
  if name in Image.OPEN
]

# Suffixes of these formats, in lower case.
SUFFIXES = tuple(
  suffix
  for suffix, name in Image.registered_extensions().items()
  if name in _FORMATS
)

# Beyond 32 : 1, resizing a whole picture to keep its centre wastes memory.
_MAX_ASPECT = 32

# Rows of pixels converted at a time.
_STRIP = 256

# A box may exceed its picture by this factor; detectors err by less.
_OVERSHOOT = 1.02
_STORED_SIZE = "ifa_jax_stored_size"

_GREY_LEVEL = 128
_MAX_16_BIT = 65535


def open_picture(source: str | os.PathLike | bytes) -> Image.Image:
  """Opens an image file as RGB, upright.

  Applies the EXIF orientation, takes the first frame of an animation, lays
  transparency on white and scales 16-bit grey to 8 bits, which PIL would clip.

  Raises:
    ValueError: for a file that is missing, damaged, of another format than
      `_FORMATS` or larger than `MAX_PIXELS`; names file and reason.
  """
  in_memory = isinstance(source, bytes)
  name = f"picture of {len(source)} bytes" if in_memory else os.fspath(source)
  try:
    if not in_memory and os.path.exists(source) and not os.path.isfile(source):
      raise ValueError("expected a file, got a folder or a device")
    with warnings.catch_warnings():
      # PIL warns above 89 million pixels; the check below is stricter.
      warnings.simplefilter("ignore", Image.DecompressionBombWarning)
      picture = Image.open(
        io.BytesIO(source) if in_memory else source, formats=_FORMATS
      )
    with picture:
      # From the header, before any pixel is decoded.
      stored = width, height = picture.size
      if width * height > MAX_PIXELS:
        raise ValueError(
          f"expected at most {MAX_PIXELS} pixels, got {width} x {height}"
        )
      picture.load()
      # A damaged EXIF block counts as none: the pixels are intact.
      with contextlib.suppress(Exception):
        ImageOps.exif_transpose(picture, in_place=True)
      opened = _to_rgb(picture)
      # For `cut`, to recognise boxes of the stored orientation.
      opened.info[_STORED_SIZE] = stored
      return opened
  except FileNotFoundError:
    raise ValueError(f"{name}: there is no such file") from None
  except Image.UnidentifiedImageError:
    kinds = ", ".join(_FORMATS)
    raise ValueError(f"{name}: not a picture in {kinds}") from None
  except Exception as error:  # PIL's decoders raise nearly anything.
    raise ValueError(
      f"{name}: unreadable picture ({one_line(error)})"
    ) from error


def fit(picture: Image.Image, size: int, resize: str = "fit") -> np.ndarray:
  """Makes a square of an RGB picture: uint8[size, size, 3].

  Args:
    picture: of any shape.
    size: side of the square in pixels.
    resize: "fit" resizes the shorter side and keeps the centre. It equals
      `CLIPImageProcessor` of transformers with its PIL backend, to +-1: the
      longer side is rounded down, the centre to the left and up. "squash"
      changes the aspect ratio, as `ViTImageProcessor` does.
  """
  if resize == "squash":
    square = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(square)
  short = min(picture.size)
  if max(picture.size) > _MAX_ASPECT * short:
    return _fit_thin(picture, size)
  width, height = (
    size if length == short else int(size * length / short)
    for length in picture.size
  )
  left, top = (width - size) // 2, (height - size) // 2
  picture = picture.resize((width, height), Image.Resampling.BICUBIC)
  return np.asarray(picture.crop((left, top, left + size, top + size)))


def _fit_thin(picture: Image.Image, size: int) -> np.ndarray:
  """As `fit`, but computes only the centre: 1 x 60000 pixels use no memory.

  Not for every picture: with a box, PIL may resize the axes in the other order,
  and intermediate rounding then differs by more than 1 on sharp edges.
  """
  short = min(picture.size)
  # The filter reads two pixels of the coarser grid beyond an edge.
  margin = 2 * max(1, short / size) + 1
  kept, read = [], []
  for length in picture.size:
    resized = size if length == short else int(size * length / short)
    first = (resized - size) // 2
    begin, end = (edge * length / resized for edge in (first, first + size))
    start = max(0, math.floor(begin - margin))
    kept.append((begin - start, end - start))
    read.append((start, min(length, math.ceil(end + margin))))
  # PIL stores box edges in float32, which is too coarse far from the origin, so
  # that part is cut out first.
  (left, right), (top, bottom) = read
  picture = picture.crop((left, top, right, bottom))
  (left, right), (top, bottom) = kept
  return np.asarray(
    picture.resize(
      (size, size), Image.Resampling.BICUBIC, box=(left, top, right, bottom)
    )
  )


def cut(picture: Image.Image, box: Sequence[float]) -> Image.Image:
  """Returns the pixels that a box touches, clipped to the picture.

  The box is [x0, y0, x1, y1] in pixels of the upright picture, right and lower
  edge exclusive.

  Raises:
    ValueError: if the box is not finite, does not overlap the picture, or fits
      a picture of `open_picture` only before its EXIF orientation is applied.
  """
  if not all(math.isfinite(edge) for edge in box):
    raise ValueError(f"box {list(box)}: expected finite numbers")
  width, height = picture.size
  stored = picture.info.get(_STORED_SIZE, picture.size)
  if _fits(box, stored) and not _fits(box, picture.size):
    raise ValueError(
      f"box {list(box)}: expected pixels of the upright picture, {width} x"
      f" {height}, got a box that fits it only as stored,"
      f" {stored[0]} x {stored[1]}: apply the EXIF orientation to the picture"
      " before boxes are found"
    )
  left, top = (max(0, math.floor(edge)) for edge in box[:2])
  right, bottom = (
    min(side, math.ceil(edge))
    for side, edge in zip((width, height), box[2:], strict=True)
  )
  if left >= right or top >= bottom:
    raise ValueError(
      f"box {list(box)}: expected a part of the upright {width} x {height}"
      " picture, got none of it"
    )
  return picture.crop((left, top, right, bottom))


def _fits(box: Sequence[float], size: tuple[int, int]) -> bool:
  """Returns whether a box ends within a picture, up to detectors' errors."""
  return all(
    end <= side * _OVERSHOOT + 1
    for end, side in zip(box[2:], size, strict=True)
  )


def grey(size: int) -> np.ndarray:
  """Returns uint8[size, size, 3] of middle grey, for absent pixels."""
  return np.full((size, size, 3), _GREY_LEVEL, np.uint8)


def encode_png(square: np.ndarray) -> bytes:
  """Returns the PNG file of uint8[H, W, 3]."""
  file = io.BytesIO()
  # Filtered photos have no repeated strings: run-length encoding is faster than
  # level 1's string search and gives 5 % fewer bytes.
  options = {"compress_level": 1, "compress_type": zlib.Z_RLE}
  Image.fromarray(square).save(file, "PNG", **options)
  return file.getvalue()


def _to_rgb(picture: Image.Image) -> Image.Image:
  if picture.mode == "F":
    raise ValueError("expected integers, got floating-point pixels")
  has_alpha = "A" in picture.getbands() or "transparency" in picture.info
  if picture.mode == "RGB" and not has_alpha:
    return picture
  if picture.mode.startswith("I"):
    convert = _scale_16_bit
  else:
    convert = _lay_on_white if has_alpha else lambda strip: strip.convert("RGB")
  width, height = picture.size
  converted = Image.new("RGB", picture.size)
  # Strip by strip: converting the whole picture at once takes several copies.
  for top in range(0, height, _STRIP):
    strip = picture.crop((0, top, width, min(top + _STRIP, height)))
    converted.paste(convert(strip), (0, top))
  return converted


def _scale_16_bit(picture: Image.Image) -> Image.Image:
  grey_16 = np.clip(np.asarray(picture).astype(np.float32), 0, _MAX_16_BIT)
  grey_8 = np.rint(grey_16 * (255 / _MAX_16_BIT)).astype(np.uint8)
  return Image.fromarray(grey_8).convert("RGB")


def _lay_on_white(picture: Image.Image) -> Image.Image:
  picture = picture.convert("RGBA")
  white = Image.new("RGBA", picture.size, "white")
  return Image.alpha_composite(white, picture).convert("RGB")
