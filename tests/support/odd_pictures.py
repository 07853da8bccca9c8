"""Files of pictures as people have them, each made on the spot.

`EQUAL` pairs an odd file with a plain one that shows the same; `BAD` pairs one
that cannot be read with the reason.
"""

import io

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def encoded(picture, kind="PNG", **options) -> bytes:
  """Returns the bytes of a file."""
  file = io.BytesIO()
  picture.save(file, kind, **options)
  return file.getvalue()


def blocks(seed: int, width: int = 60, height: int = 40) -> Image.Image:
  """Returns a picture of coarse blocks in random colours."""
  rng = np.random.default_rng(seed)
  colours = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
  nearest = Image.Resampling.NEAREST
  return Image.fromarray(colours).resize((width, height), nearest)


def _rotated() -> tuple[bytes, bytes]:
  exif = Image.Exif()
  # Shown turned by 90 degrees clockwise.
  exif[ORIENTATION] = 6
  return (
    encoded(blocks(1), exif=exif),
    encoded(blocks(1).transpose(Image.Transpose.ROTATE_270)),
  )


def _animated() -> tuple[bytes, bytes]:
  frames = [blocks(seed).convert("P") for seed in (2, 3)]
  odd = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
  return odd, encoded(frames[0].convert("RGB"))


def _cmyk() -> tuple[bytes, bytes]:
  odd = encoded(blocks(4).convert("CMYK"), "TIFF")
  return odd, encoded(blocks(4))


def _16_bit() -> tuple[bytes, bytes]:
  grey = np.asarray(blocks(5).convert("L"))
  return (
    encoded(Image.fromarray(grey.astype(np.uint16) * 257)),
    encoded(Image.fromarray(grey).convert("RGB")),
  )


def _transparent() -> tuple[bytes, bytes]:
  clear = blocks(6).convert("RGBA")
  clear.putalpha(0)
  return encoded(clear), encoded(Image.new("RGB", (9, 9), "white"))


def _one_pixel() -> tuple[bytes, bytes]:
  one, many = (
    Image.new("RGB", size, (200, 30, 90)) for size in ((1, 1), (9, 7))
  )
  return encoded(one), encoded(many)


def _very_long() -> tuple[bytes, bytes]:
  line, square = (
    Image.new("RGB", size, (10, 200, 90)) for size in ((60_000, 1), (9, 7))
  )
  return encoded(line), encoded(square)


EQUAL = {
  "EXIF-rotated": _rotated(),
  "animated": _animated(),
  "CMYK": _cmyk(),
  "16-bit": _16_bit(),
  "transparent": _transparent(),
  "1 x 1": _one_pixel(),
  "60000 x 1": _very_long(),
}

BAD = {
  "a text": (b"Ann joins Acme", "not a picture in JPEG, PNG"),
  "float": (
    encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"),
    "floating-point pixels",
  ),
}
