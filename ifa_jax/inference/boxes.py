"""Boxes that a detector finds in the pictures of posts without any.

A post's own `boxes` take precedence, even an empty list. All boxes have the
form of `ifa_jax.data.images.boxes`.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from ifa_jax.data.images import decode
from ifa_jax.inference import images
from ifa_jax.inference.post import read_post

if TYPE_CHECKING:
  from ifa_jax.detection.finder import ObjectFinder

Fields = Mapping[str, Any]

# Pictures open at a time, of up to 256 MB each.
_NUM_PICTURES = 4


class FoundObjects:
  """The objects that a finder detects in the pictures of posts."""

  def __init__(self, finder: "ObjectFinder", grounds: bool):
    """Keeps the finder; `grounds` if it also searches for head and tail."""
    self._finder = finder
    self._grounds = grounds

  def complete_all(self, posts: Iterable[Fields]) -> Iterator[Fields]:
    """Yields each post, with boxes if it has a picture and no boxes.

    An invalid post is passed on unchanged; reading it reports the error.
    """
    posts = iter(posts)
    while some := list(itertools.islice(posts, _NUM_PICTURES)):
      questions = [self._question(post) for post in some]
      asked = [question for question in questions if question]
      found = iter(
        self._finder.find(*zip(*asked, strict=True)) if asked else ()
      )
      for post, question in zip(some, questions, strict=True):
        yield {**post, "boxes": next(found)} if question else post

  def _question(self, post: Fields) -> "_Question | None":
    """Returns the finder's input for a post, if it needs any."""
    if post.get("boxes") is not None:
      return None
    try:
      source = images.source(post)
      names = read_post(post).names()
      picture = None if source is None else decode.open_picture(source)
    except (ValueError, OSError):
      return None
    return picture and _Question(picture, names if self._grounds else ())


class _Question(NamedTuple):
  picture: Image.Image
  names: tuple[str, ...]
