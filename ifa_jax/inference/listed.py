"""Boxes and captions for posts without any, listed by the names of pictures."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ifa_jax.data.images import boxes
from ifa_jax.data.mnre.captions import Captions
from ifa_jax.files import json_file

_log = logging.getLogger("ifa_jax")

Fields = Mapping[str, Any]


class _Listed:
  """Values of one field of a post, by the file names of pictures."""

  field: str
  _where: str  # The files, for messages.
  _num_asked = _num_found = 0

  def _find(self, name: str) -> Any:
    """Returns the value of a picture, None if it is not listed."""
    raise NotImplementedError

  def _first(self) -> str | None:
    """Returns the first picture listed."""
    raise NotImplementedError

  def complete(self, post: Fields) -> Fields:
    """Returns a post with its picture's value, if it has none of its own."""
    image = post.get("image")
    if post.get(self.field) is not None or not isinstance(
      image, (str, os.PathLike)
    ):
      return post
    found = self._find(os.path.basename(image))
    self._num_asked += 1
    self._num_found += found is not None
    return post if found is None else {**post, self.field: found}

  def warn_unused(self) -> None:
    """Logs a warning if none of the pictures asked for is listed."""
    if self._num_asked and not self._num_found:
      _log.warning(
        "%s: lists the picture of no post; expected file names as in 'image',"
        " got %r",
        *(self._where, self._first()),
      )


class ListedObjects(_Listed):
  """The boxes in a file; a post's own take precedence, even an empty list."""

  field = "boxes"

  def __init__(self, path: str | os.PathLike):
    """Reads a boxes file.

    Raises:
      ValueError: for a malformed file; names the picture and index of a box.
    """
    boxes.read_boxes(path)
    self._where = os.fspath(path)
    self._listed = json_file.load(path)

  def _find(self, name: str) -> Any:
    return self._listed.get(name)

  def _first(self) -> str | None:
    return next(iter(self._listed), None)


class ListedCaptions(_Listed):
  """The captions in some files."""

  field = "caption"

  def __init__(self, paths: Sequence[str]):
    """Reads files of captions, see `data.mnre.captions`.

    Raises:
      ValueError: for a malformed file; names the picture or the line.
    """
    self._where = ", ".join(paths)
    self._captions = Captions(paths)

  def _find(self, name: str) -> str | None:
    return self._captions.of_picture(name)

  def _first(self) -> str | None:
    return next(iter(self._captions.pictures), None)
