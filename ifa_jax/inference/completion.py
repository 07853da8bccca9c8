"""Boxes and captions for posts without any: found, or listed in files.

A post's own `boxes` take precedence, even an empty list. All boxes have the
form of `ifa_jax.data.images.boxes`.
"""

import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from ifa_jax.data.images import boxes, decode
from ifa_jax.data.mnre.captions import Captions
from ifa_jax.files import json_file
from ifa_jax.inference import images
from ifa_jax.inference.pairs import read_entities
from ifa_jax.inference.post import has_entities, read_post

if TYPE_CHECKING:
  from ifa_jax.detection.finder import ObjectFinder

_log = logging.getLogger("ifa_jax")

Fields = Mapping[str, Any]

# Pictures open at a time, of up to 256 MB each.
_NUM_PICTURES = 4


def find_boxes(
  posts: Iterable[Fields], finder: "ObjectFinder", grounds: bool
) -> Iterator[Fields]:
  """Yields each post, with found boxes if it has a picture and no boxes.

  An invalid post is passed on unchanged; reading it reports the error.

  Args:
    posts: see `ifa_jax.inference`.
    finder: of objects.
    grounds: whether the finder also searches for head and tail.
  """
  posts = iter(posts)
  while some := list(itertools.islice(posts, _NUM_PICTURES)):
    questions = [_question(post, grounds) for post in some]
    asked = [question for question in questions if question]
    found = iter(finder.find(*zip(*asked, strict=True)) if asked else ())
    for post, question in zip(some, questions, strict=True):
      yield {**post, "boxes": next(found)} if question else post


def _question(
  post: Fields, grounds: bool
) -> tuple[Image.Image, tuple[str, ...]] | None:
  """Returns the picture and the names to find in it, if it needs boxes."""
  if post.get("boxes") is not None:
    return None
  try:
    source = images.source(post)
    names = _names(post)
    picture = None if source is None else decode.open_picture(source)
  except (ValueError, OSError):
    return None
  return picture and (picture, names if grounds else ())


def _names(post: Fields) -> tuple[str, ...]:
  if has_entities(post):
    return tuple(dict.fromkeys(read_entities(post).names))
  return read_post(post).names


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
    """Returns a post with its picture's value, if it has none of its own."""
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


def read_listed(boxes: str | None, captions: Sequence[str]) -> list[Listed]:
  """Returns the values of the files that --boxes and --captions name.

  Raises:
    ValueError: for a malformed file.
  """
  listed = [listed_boxes(boxes)] if boxes else []
  return [*listed, listed_captions(captions)] if captions else listed


def listed_boxes(path: str | os.PathLike) -> Listed:
  """Returns the boxes in a file.

  Raises:
    ValueError: for a malformed file; names the picture and index of a box.
  """
  boxes.read_boxes(path)
  found = json_file.load(path)
  return Listed("boxes", [os.fspath(path)], found.get, [*found])


def listed_captions(paths: Sequence[str]) -> Listed:
  """Returns the captions in files, see `data.mnre.captions`.

  A picture with different captions has a list of them, which is an error of the
  posts that show it to a model that reads captions.

  Raises:
    ValueError: for a malformed file; names the picture or the line.
  """
  found = Captions(paths)

  def find(picture: str) -> str | list[str] | None:
    given = [*found.given(picture)]
    return given if len(given) > 1 else next(iter(given), None)

  return Listed("caption", paths, find, found.pictures)
