"""One HTML page for many posts, without other files or network access."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from ifa_jax.analyze.alignment.boxes import Edges
from ifa_jax.analyze.alignment.maps import ENTITIES, Shares
from ifa_jax.analyze.alignment.posts import (
  AlignedPost,
  PostSource,
  describe_change,
)
from ifa_jax.cli import templates

# The most probable relations of a post are shown, and the gold one.
_NUM_RELATIONS = 4

# Smaller weights do not get a column.
_NEGLIGIBLE = 1e-9


def render(source: PostSource, posts: Sequence[AlignedPost], shown: int) -> str:
  """Returns the page.

  Args:
    source: its title.
    posts: one or more, in their initial order.
    shown: number of the map shown first.
  """
  return _TEMPLATES.get_template("alignment.html.j2").render(
    source=source,
    views=[_view(post) for post in posts],
    entities=ENTITIES,
    is_list=len(posts) > 1,
    is_scored=any(post.gold for post in posts),
    kind=posts[0].alignment.kind,
    shown=shown,
    change=describe_change(posts[0].alignment.kind),
  )


def _view(post: AlignedPost) -> dict[str, Any]:
  """Returns the values that the template shows of a post."""
  aligned, panels = post.alignment, post.panels()
  largest = aligned.markers.elsewhere.max(axis=(0, 1))
  elsewhere = np.flatnonzero(largest > _NEGLIGIBLE)
  places = [(column, post.place(column)) for column in aligned.columns]
  pictures = [post.picture] if post.picture else []
  gold = [post.gold] if post.gold else []
  return {
    "post": post,
    "words": _rows(aligned.words, elsewhere),
    "markers": _rows(aligned.markers, elsewhere),
    "elsewhere": np.array([*aligned.kind.elsewhere])[elsewhere].tolist(),
    "relations": [*dict.fromkeys([*post.ranked[:_NUM_RELATIONS], *gold])],
    "boxes": [(c, place.box) for c, place in places if place and place.box],
    "panels": panels,
    "patches": {
      name: [np.moveaxis(patches, 0, -1) for patches in grids]
      for name, grids in aligned.patches.items()
    },
    # Each picture is stored once, however many panels show it.
    "squares": [*dict.fromkeys([*pictures, *(p.square for p in panels)])],
  }


def _rows(shares: Shares, elsewhere: np.ndarray) -> list[list[Any]]:
  """Returns float64[maps] of each cell of each row, None for an unread word."""
  both = [shares.pictures, shares.elsewhere[..., elsewhere]]
  return [
    [None if np.isnan(cell).any() else cell for cell in row]
    for row in np.moveaxis(np.concatenate(both, axis=-1), 0, -1)
  ]


def _numbers(values: np.ndarray) -> str:
  return " ".join(f"{value:.4g}" for value in values)


def _rectangle(edges: Edges) -> dict[str, str]:
  """Returns the attributes of an SVG rectangle, in percent of the square."""
  x0, y0, x1, y1 = (100 * edge for edge in edges)
  named = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
  return {key: f"{value:.4g}" for key, value in named.items()}


def _address(square: bytes) -> str:
  return "data:image/png;base64," + base64.b64encode(square).decode()


_TEMPLATES = templates.templates("ifa_jax.analyze.alignment")
_TEMPLATES.filters |= {
  "numbers": _numbers,
  "rectangle": _rectangle,
  "address": _address,
}
