"""A post's picture: a file, or bytes in the post itself."""

import base64
import functools
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ifa_jax.data.images import decode
from ifa_jax.files.shown import shown

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# The prefix of base64 in web pages.
_DATA_URL = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)


def source(fields: Mapping[str, Any]) -> str | os.PathLike | bytes | None:
  """Returns a post's picture as `data.images.decode.open_picture` takes it.

  Args:
    fields: of the post: `image`, a file (relative to the working directory) or
      its bytes, or else `image_base64`.

  Returns:
    A path, bytes, or None for a post without a picture.

  Raises:
    ValueError: for a URL, which is never requested, for malformed base64, or
      anything else that is not a file.
  """
  image, encoded = fields.get("image"), fields.get("image_base64")
  if encoded is not None:
    if image is not None:
      raise ValueError("image_base64: expected it instead of image, got both")
    return _decode(encoded)
  if image is None or isinstance(image, (bytes, os.PathLike)):
    return image
  if not isinstance(image, str) or not image:
    raise ValueError(f"image: expected a file, got {repr(image)[:80]}")
  if _DATA_URL.match(image):
    raise ValueError(
      "image: expected a file, got base64, which goes into image_base64"
    )
  if _ADDRESS.match(image):
    raise ValueError(
      f"image: expected a file, got the URL {image[:80]!r}; download it first"
    )
  return image


class Opened:
  """An RGB picture, and a cache of the squares cut from it."""

  def __init__(self, image: Image.Image):
    """Takes the upright RGB picture."""
    self.image = image
    self._squares: dict[Any, np.ndarray] = {}

  def square(
    self, size: int, resize: str, edges: Sequence[float] | None = None
  ) -> np.ndarray:
    """Returns uint8[size, size, 3] of a box in the picture, or of all of it.

    Args:
      size: side of the square in pixels.
      resize: see `decode.fit`.
      edges: (x0, y0, x1, y1) of the box.

    Raises:
      ValueError: as `decode.cut`.
    """
    key = (size, resize, edges)
    if key not in self._squares:
      part = self.image if edges is None else decode.cut(self.image, edges)
      self._squares[key] = decode.fit(part, size, resize)
    return self._squares[key]


class Opener:
  """Opens pictures; caches the last one, which the next post may share."""

  def __init__(self):
    """Starts with an empty cache."""
    self._open = functools.lru_cache(maxsize=1)(_open)

  def open(self, fields: Mapping[str, Any]) -> Opened | None:
    """Returns a post's picture, or None without one.

    Raises:
      ValueError: as `source` and `decode.open_picture`.
    """
    wanted = source(fields)
    return None if wanted is None else self._open(wanted)


def _open(wanted: str | os.PathLike | bytes) -> Opened:
  return Opened(decode.open_picture(wanted))


def _decode(encoded: Any) -> bytes:
  try:
    text = _DATA_URL.sub("", encoded, count=1)
    return base64.b64decode("".join(text.split()), validate=True)
  except (TypeError, ValueError) as error:
    raise ValueError(
      f"image_base64: expected base64, got {shown(encoded)} ({error})"
    ) from None
