"""One page for many posts: HTML that needs no other file and no network."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ifa_jax.analyze.alignment.maps import ENTITIES, Column, Shares
from ifa_jax.analyze.alignment.posts import CHANGE, Grid, Post, Source
from ifa_jax.cli import templates

# Relations shown of a post, the likeliest first; the gold one, too.
_NUM_RELATIONS = 4

# Less than this is not worth a column.
_NOTHING = 1e-9

_TEMPLATES = templates.templates("ifa_jax.analyze.alignment")


def render(source: Source, posts: Sequence[Post], shown: int) -> str:
  """Returns the page.

  Args:
    source: named in its first line.
    posts: one or more, in the order that the page starts with.
    shown: the map to start with, 0 for the first.
  """
  return _TEMPLATES.get_template("alignment.html.j2").render(
    source=source,
    posts=[_view(number, post, shown) for number, post in enumerate(posts)],
    is_list=len(posts) > 1,
    is_scored=any(post.gold for post in posts),
    maps=posts[0].alignment.maps,
    shown=shown,
    wording=posts[0].alignment.wording,
    change=CHANGE,
  )


def _view(number: int, post: Post, shown: int) -> dict[str, Any]:
  """Returns what the template shows of a post."""
  text, aligned = post.row.text, post.alignment
  # One scale for all cells of a post, and one for all its patches.
  cells = _peaks([aligned.words.pictures, aligned.markers.pictures])
  patches = _peaks(g for grids in aligned.patches.values() for g in grids)
  show = lambda shares: _rows(post, shares, cells, shown)  # noqa: E731
  roles = [
    [name for name in ENTITIES if _holds(getattr(text, name), word)]
    for word in range(len(text.words))
  ]
  elsewhere = [*aligned.wording.elsewhere]
  squares = {}
  return {
    "number": number,
    "post": post,
    "text": text,
    "words": list(zip(text.words, roles, show(aligned.words), strict=True)),
    "markers": list(zip(ENTITIES, show(aligned.markers), strict=True)),
    "elsewhere": [elsewhere[i] for i in _elsewhere(post)],
    "relations": _relations(post),
    "boxes": _boxes(post),
    "entities": [
      _entity(post, name, patches, shown, squares) for name in ENTITIES
    ],
    "picture": _store(squares, post.picture) if post.picture else None,
    "squares": squares,
    "peaks": {"cells": _join(cells), "patches": _join(patches)},
  }


def _peaks(arrays: Iterable[np.ndarray]) -> np.ndarray:
  """Returns the largest number of each map, 1 where there is none."""
  arrays = [array.reshape(len(array), -1) for array in arrays]
  if not arrays or not sum(array.shape[1] for array in arrays):
    return np.ones(1 if not arrays else len(arrays[0]))
  peaks = np.nanmax(np.concatenate(arrays, axis=1), axis=1)
  return np.where(peaks > 0, peaks, 1.0)


def _holds(span: tuple[int, int], word: int) -> bool:
  return span[0] <= word < span[1]


def _elsewhere(post: Post) -> list[int]:
  """Returns the columns of `Wording.elsewhere` that hold anything."""
  most = post.alignment.markers.elsewhere.max(axis=(0, 1))
  return [*map(int, np.flatnonzero(most > _NOTHING))]


def _rows(
  post: Post, shares: Shares, peaks: np.ndarray, shown: int
) -> list[list[dict[str, Any] | None]]:
  """Returns each row's cells: of pictures, then of what goes elsewhere."""
  kept = shares.elsewhere[..., _elsewhere(post)]
  both = np.concatenate([shares.pictures, kept], axis=-1)
  return [
    [_value(both[:, row, i], peaks, shown) for i in range(both.shape[2])]
    for row in range(both.shape[1])
  ]


def _value(
  values: np.ndarray, peaks: np.ndarray, shown: int
) -> dict[str, Any] | None:
  """Returns a number of each map, and how one of them is shown."""
  if np.isnan(values[shown]):
    return None
  return {
    "maps": _join(values),
    "percent": f"{100 * values[shown]:.1f}",
    "heat": f"{values[shown] / peaks[shown]:.3g}",
  }


def _join(values: np.ndarray) -> str:
  return " ".join(f"{value:.3g}" for value in values)


def _relations(post: Post) -> list[dict[str, Any]]:
  """Returns the likeliest relations, and the gold one if it is known."""
  names = sorted(post.probabilities, key=lambda n: -post.probabilities[n])
  gold = [post.gold] if post.gold else []
  shown = [*dict.fromkeys([*names[:_NUM_RELATIONS], *gold])]
  return [
    {
      "name": name,
      "probability": post.probabilities[name],
      "blanked": post.blanked[name],
    }
    for name in shown
  ]


def _boxes(post: Post) -> list[dict[str, Any]]:
  """Returns what to outline on the picture, in percent of its side."""
  places = [(c, post.place(c)) for c in post.alignment.columns]
  return [
    {
      "column": column,
      "rectangle": _rectangle(place.box),
      "label": _label(column, place.box),
    }
    for column, place in places
    if place and place.box
  ]


def _label(column: Column, box: Sequence[float]) -> dict[str, str]:
  """Returns where a box's name stands: inside, and beside other names."""
  right = 11 if column.field == "grounded" else 1
  # Objects are too many to keep out of each other's way.
  down = 6.5 * (1 if column.field == "object" else column.number)
  x, y = 100 * box[0] + right, 100 * box[1] + down
  return {"x": f"{min(x, 90):.4g}", "y": f"{min(y, 98):.4g}"}


def _entity(
  post: Post,
  name: str,
  peaks: np.ndarray,
  shown: int,
  squares: dict[str, str],
) -> dict[str, Any]:
  """Returns an entity's panels; what they show is added to `squares`."""
  words = post.row.text.words[slice(*getattr(post.row.text, name))]
  panels = [
    {
      "title": panel.title,
      "square": _store(squares, panel.square),
      "is_crop": panel.square != post.picture,
      "grids": [
        {
          "column": post.alignment.columns[grid.column],
          "rectangle": _rectangle(grid.edges),
          "patches": _patches(
            post.alignment.patches[name][grid.column], grid, peaks, shown
          ),
        }
        for grid in panel.grids
      ],
    }
    for panel in post.panels()
  ]
  return {"name": name, "words": " ".join(words), "panels": panels}


def _patches(
  weights: np.ndarray, grid: Grid, peaks: np.ndarray, shown: int
) -> list[dict[str, Any]]:
  """Returns rectangles with a number of each map."""
  side = weights.shape[-1]
  x0, y0, x1, y1 = grid.edges
  width, height = (x1 - x0) / side, (y1 - y0) / side
  return [
    {
      "rectangle": _rectangle(
        (
          x0 + column * width,
          y0 + row * height,
          x0 + (column + 1) * width,
          y0 + (row + 1) * height,
        )
      ),
      **(_value(weights[:, row, column], peaks, shown) or {}),
    }
    for row, column in np.ndindex(side, side)
  ]


def _rectangle(edges: Sequence[float]) -> dict[str, str]:
  """Returns SVG's form of edges, in percent of the square's side."""
  x0, y0, x1, y1 = (100 * edge for edge in edges)
  named = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
  return {key: f"{value:.4g}" for key, value in named.items()}


def _store(squares: dict[str, str], square: bytes) -> str:
  """Adds a PNG file to those that the page holds, once, and names it."""
  uri = "data:image/png;base64," + base64.b64encode(square).decode()
  for name, there in squares.items():
    if there == uri:
      return name
  name = str(len(squares))
  squares[name] = uri
  return name
