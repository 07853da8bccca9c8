"""Where a post's picture comes from: a file, or bytes in the post itself."""

import base64
import os
import re
from collections.abc import Mapping
from typing import Any

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# Programs that write base64 for the web put this in front of it.
_DATA_URL = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)


def source(fields: Mapping[str, Any]) -> str | os.PathLike | bytes | None:
  """Returns a post's picture as `ifa_jax.data.pictures.open_picture` takes it.

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


def _decode(encoded: Any) -> bytes:
  try:
    text = _DATA_URL.sub("", encoded, count=1)
    return base64.b64decode("".join(text.split()), validate=True)
  except (TypeError, ValueError) as error:
    raise ValueError(f"image_base64: want base64 ({error})") from None
