"""Boxes and captions for posts without any, listed by the names of pictures."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ifa_jax.data.images import boxes
from ifa_jax.data.mnre.captions import Captions
from ifa_jax.files import json_file

_log = logging.getLogger("ifa_jax")

Fields = Mapping[str, Any]


class Listed:
  """Values of one field of posts, by the file names of their pictures.

  Attributes:
    name: of the files, without their folders.
  """

  def __init__(
    self,
    field: str,
    paths: Sequence[str],
    find: Callable[[str], Any],
    pictures: Sequence[str],
  ):
    """Takes the content of files; see `listed_boxes`.

    Args:
      field: "boxes" or "caption".
      paths: of the files.
      find: returns the value of a picture, None if it is not listed.
      pictures: file names of the pictures listed.
    """
    self.name = ", ".join(map(os.path.basename, paths))
    self._field, self._paths = field, paths
    self._find, self._pictures = find, pictures
    self._num_asked = self._num_found = 0

  def complete(self, post: Fields) -> Fields:
    """Returns a post with its picture's value, if it has none of its own.

    Raises:
      ValueError: if the files have different captions of its picture.
    """
    image, field = post.get("image"), self._field
    if post.get(field) is not None or not isinstance(image, (str, os.PathLike)):
      return post
    found = self._find(os.path.basename(image))
    self._num_asked += 1
    self._num_found += found is not None
    return post if found is None else {**post, field: found}

  def warn_unused(self) -> None:
    """Logs a warning if none of the pictures asked for is listed."""
    if self._num_asked and not self._num_found:
      _log.warning(
        "%s: lists the picture of no post; expected file names as in 'image',"
        " got %r",
        *(", ".join(self._paths), next(iter(self._pictures), None)),
      )


def listed_boxes(path: str | os.PathLike) -> Listed:
  """Returns the boxes in a file; an empty list of a post's own counts as boxes.

  Raises:
    ValueError: for a malformed file; names the picture and index of a box.
  """
  boxes.read_boxes(path)
  listed = json_file.load(path)
  return Listed("boxes", [os.fspath(path)], listed.get, [*listed])


def listed_captions(paths: Sequence[str]) -> Listed:
  """Returns the captions in files, see `data.mnre.captions`.

  Raises:
    ValueError: for a malformed file; names the picture or the line.
  """
  found = Captions(paths)
  return Listed("caption", paths, found.of_picture, found.pictures)
