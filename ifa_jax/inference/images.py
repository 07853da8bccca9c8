"""A post's picture: a file, or bytes in the post itself; posts may share it."""

import base64
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ifa_jax.data.images import decode

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# Programs that write base64 for the web put this in front of it.
_DATA_URL = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)


def source(fields: Mapping[str, Any]) -> str | os.PathLike | bytes | None:
  """Returns a post's picture as `data.images.decode.open_picture` takes it.

  Args:
    fields: of the post: `image`, a file (relative to the working directory) or
      its bytes, or else `image_base64`, the bytes as JSON can hold them.

  Returns:
    A path, bytes, or None for a post without a picture.

  Raises:
    ValueError: for an address of the network, which is never asked, for base64
      that is none, or anything else that is no file.
  """
  image, encoded = fields.get("image"), fields.get("image_base64")
  if encoded is not None:
    if image is not None:
      raise ValueError("image_base64: want it in place of image, found both")
    return _decode(encoded)
  if image is None or isinstance(image, (bytes, os.PathLike)):
    return image
  if not isinstance(image, str) or not image:
    raise ValueError(f"image: want a file, found {repr(image)[:80]}")
  if _DATA_URL.match(image):
    raise ValueError("image: want a file; base64 goes into image_base64")
  if _ADDRESS.match(image):
    raise ValueError(
      f"image: want a file, found the address {image[:80]!r}; download it first"
    )
  return image


class Opened:
  """A picture with the squares that were cut from it.

  Attributes:
    image: RGB, upright.
  """

  def __init__(self, image: Image.Image):
    """Cuts nothing yet."""
    self.image = image
    self._squares: dict[Any, np.ndarray] = {}

  def square(
    self, size: int, edges: Sequence[float] | None = None
  ) -> np.ndarray:
    """Returns uint8[size, size, 3] of a box in the picture, or of all of it.

    Raises:
      ValueError: as `decode.cut`.
    """
    key = (size, edges)
    if key not in self._squares:
      part = self.image if edges is None else decode.cut(self.image, edges)
      self._squares[key] = decode.fit(part, size)
    return self._squares[key]


class Opener:
  """Opens pictures; keeps the last one, for posts in a row that share it."""

  def __init__(self):
    """Opens nothing yet."""
    self._source: Any = None
    self._opened: Opened | None = None

  def open(self, fields: Mapping[str, Any]) -> Opened | None:
    """Returns a post's picture, or None without one.

    Raises:
      ValueError: as `source` and `decode.open_picture`.
    """
    wanted = source(fields)
    if wanted is None:
      return None
    if self._opened is None or wanted != self._source:
      self._opened = Opened(decode.open_picture(wanted))
      self._source = wanted
    return self._opened


def _decode(encoded: Any) -> bytes:
  try:
    text = _DATA_URL.sub("", encoded, count=1)
    return base64.b64decode("".join(text.split()), validate=True)
  except (TypeError, ValueError) as error:
    raise ValueError(f"image_base64: want base64 ({error})") from None
