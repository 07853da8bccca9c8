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
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageOps

# A 48-megapixel photo passes; far beyond, a file is an attack on the memory (a
# "decompression bomb").
MAX_PIXELS = 64_000_000

# Those of the web, as far as this PIL was built with them. It opens many more,
# and starts programs for some of them.
Image.init()
_FORMATS = [
  name
  for name in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
  if name in Image.OPEN
]

# Of their files, in lower case.
SUFFIXES = tuple(
  suffix
  for suffix, name in Image.registered_extensions().items()
  if name in _FORMATS
)

# Beyond 32 : 1, resizing all of a picture to keep its centre wastes memory.
_MAX_ASPECT = 32

# Rows of pixels that are converted at a time.
_STRIP = 256

# A box may reach so far beyond its picture; detectors are off by less.
_OVERSHOOT = 1.02
_STORED_SIZE = "ifa_jax_stored_size"

_GREY_LEVEL = 128
_MAX_16_BIT = 65535


def open_picture(source: str | os.PathLike | bytes) -> Image.Image:
  """Opens an image file as RGB, upright.

  The EXIF orientation is applied. Of an animation the first frame counts.
  Transparency is laid on white, 16-bit grey is scaled to 8 bits (PIL alone
  would clip it), CMYK and palettes are converted as PIL does.

  Args:
    source: the path of a file, or its bytes.

  Raises:
    ValueError: for a file that is absent, empty, broken, truncated, of another
      format than `_FORMATS` or larger than `MAX_PIXELS`; names file and reason.
  """
  in_memory = isinstance(source, bytes)
  name = f"picture of {len(source)} bytes" if in_memory else os.fspath(source)
  try:
    if not in_memory and os.path.exists(source) and not os.path.isfile(source):
      raise ValueError("no file but a folder or a device")
    with warnings.catch_warnings():
      # PIL warns from 89 million pixels on; the check below is stricter.
      warnings.simplefilter("ignore", Image.DecompressionBombWarning)
      picture = Image.open(
        io.BytesIO(source) if in_memory else source, formats=_FORMATS
      )
    with picture:
      _check_size(picture)
      picture.load()
      stored = picture.size
      opened = _to_rgb(_upright(picture))
      # For `cut`, which meets boxes of another frame.
      opened.info[_STORED_SIZE] = stored
      return opened
  except FileNotFoundError:
    raise ValueError(f"{name}: there is no such file") from None
  except Image.UnidentifiedImageError:
    kinds = ", ".join(_FORMATS)
    raise ValueError(f"{name}: not a picture in {kinds}") from None
  except Exception as error:  # PIL's decoders raise nearly anything.
    reason = " ".join(str(error).split()) or type(error).__name__
    raise ValueError(f"{name}: unreadable picture ({reason})") from error


def fit(picture: Image.Image, size: int) -> np.ndarray:
  """Resizes the shorter side to `size` and keeps the centre.

  As `CLIPImageProcessor` of transformers does with its PIL backend, to +-1:
  the longer side is rounded down, the centre to the left and up.

  Args:
    picture: RGB, any size.
    size: side of the result in pixels.

  Returns:
    uint8[size, size, 3].
  """
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
  """As `fit`, computing only what is kept: 1 x 60000 pixels cost no memory.

  Not for every picture: given a box, PIL may take the axes in the other order,
  and what it rounds in between then differs by more than 1 on sharp edges.
  """
  short = min(picture.size)
  # What the filter reads beyond an edge: two pixels of the coarser grid.
  margin = 2 * max(1, short / size) + 1
  kept, read = [], []
  for length in picture.size:
    resized = size if length == short else int(size * length / short)
    first = (resized - size) // 2
    begin, end = (edge * length / resized for edge in (first, first + size))
    start = max(0, math.floor(begin - margin))
    kept.append((begin - start, end - start))
    read.append((start, min(length, math.ceil(end + margin))))
  # PIL keeps box edges in float32; far from the origin these are too coarse, so
  # the part that is read is cut out before.
  (left, right), (top, bottom) = read
  picture = picture.crop((left, top, right, bottom))
  (left, right), (top, bottom) = kept
  return np.asarray(
    picture.resize(
      (size, size), Image.Resampling.BICUBIC, box=(left, top, right, bottom)
    )
  )


def cut(picture: Image.Image, box: Sequence[float]) -> Image.Image:
  """Returns the pixels that a box touches.

  Args:
    picture: any.
    box: [x0, y0, x1, y1] in pixels of the upright picture, right and lower edge
      exclusive; what reaches beyond the picture is left out.

  Raises:
    ValueError: if the box is not finite, holds nothing of the picture, or fits
      a picture of `open_picture` only as it is stored, before its EXIF
      orientation is applied.
  """
  if not all(math.isfinite(edge) for edge in box):
    raise ValueError(f"box {list(box)} is not finite")
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
      f"box {list(box)} holds nothing of the upright {width} x {height} picture"
    )
  return picture.crop((left, top, right, bottom))


def _fits(box: Sequence[float], size: tuple[int, int]) -> bool:
  """Tells whether a box ends within a picture, but for what detectors miss."""
  return all(
    end <= side * _OVERSHOOT + 1
    for end, side in zip(box[2:], size, strict=True)
  )


def grey(size: int) -> np.ndarray:
  """Returns uint8[size, size, 3] of one middle grey, for absent pixels."""
  return np.full((size, size, 3), _GREY_LEVEL, np.uint8)


def encode_png(square: np.ndarray) -> bytes:
  """Returns the PNG file of uint8[H, W, 3]."""
  file = io.BytesIO()
  # Of filtered photos no strings repeat: looking for runs alone takes less time
  # than level 1's strings and 5 % fewer bytes.
  options = {"compress_level": 1, "compress_type": zlib.Z_RLE}
  Image.fromarray(square).save(file, "PNG", **options)
  return file.getvalue()


def _check_size(picture: Image.Image) -> None:
  """Raises ValueError over `MAX_PIXELS`, from the header alone."""
  width, height = picture.size
  if width * height > MAX_PIXELS:
    raise ValueError(
      f"{width} x {height} pixels, at most {MAX_PIXELS} are read"
    )


def _upright(picture: Image.Image) -> Image.Image:
  """Applies the EXIF orientation; a damaged EXIF block counts as none."""
  # The pixels are sound, and EXIF is beside the point.
  with contextlib.suppress(Exception):
    ImageOps.exif_transpose(picture, in_place=True)
  return picture


def _to_rgb(picture: Image.Image) -> Image.Image:
  """Converts any mode to RGB."""
  if picture.mode == "F":
    raise ValueError("floating-point pixels have no known range")
  has_alpha = "A" in picture.getbands() or "transparency" in picture.info
  if picture.mode == "RGB" and not has_alpha:
    return picture
  if picture.mode.startswith("I"):
    return _in_strips(picture, _scale_16_bit)
  return _in_strips(picture, _lay_on_white if has_alpha else _plain_rgb)


def _in_strips(
  picture: Image.Image, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
  """Converts a part at a time: all at once would take several copies."""
  width, height = picture.size
  converted = Image.new("RGB", picture.size)
  for top in range(0, height, _STRIP):
    strip = picture.crop((0, top, width, min(top + _STRIP, height)))
    converted.paste(convert(strip), (0, top))
  return converted


def _plain_rgb(picture: Image.Image) -> Image.Image:
  return picture.convert("RGB")


def _scale_16_bit(picture: Image.Image) -> Image.Image:
  grey_16 = np.clip(np.asarray(picture).astype(np.float32), 0, _MAX_16_BIT)
  grey_8 = np.rint(grey_16 * (255 / _MAX_16_BIT)).astype(np.uint8)
  return Image.fromarray(grey_8).convert("RGB")


def _lay_on_white(picture: Image.Image) -> Image.Image:
  picture = picture.convert("RGBA")
  white = Image.new("RGBA", picture.size, "white")
  return Image.alpha_composite(white, picture).convert("RGB")
