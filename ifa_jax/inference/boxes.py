"""Boxes that a detector finds in the pictures of posts without any.

A post's own `boxes` take precedence, even an empty list. All boxes have the
form of `ifa_jax.data.images.boxes`.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from PIL import Image

from ifa_jax.data.images import decode
from ifa_jax.inference import images
from ifa_jax.inference.post import read_post

if TYPE_CHECKING:
  from ifa_jax.detection.finder import ObjectFinder

Fields = Mapping[str, Any]

# Pictures open at a time, of up to 256 MB each.
_NUM_PICTURES = 4


def complete_all(
  posts: Iterable[Fields], finder: "ObjectFinder", grounds: bool
) -> Iterator[Fields]:
  """Yields each post, with boxes if it has a picture and no boxes.

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
    names = read_post(post).names
    picture = None if source is None else decode.open_picture(source)
  except (ValueError, OSError):
    return None
  return picture and (picture, names if grounds else ())
