"""A post with all that its figure and its page show."""

import dataclasses
import re
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.analyze.alignment import boxes as alignment_boxes
from ifa_jax.analyze.alignment.maps import Alignment, Column
from ifa_jax.analyze.alignment.rows import Row

# Written beside the numbers, for whoever finds them without this module.
CHANGE = (
  "total variation between the relation probabilities with the pictures and"
  " with every picture masked: half the sum of absolute differences, 0 to 1"
)


# Of four bytes each, within the 255 that file systems allow.
_MOST_CHARACTERS = 50


class Source(NamedTuple):
  """Where posts come from and who predicted them.

  Attributes:
    run: the run's folder, as it was named.
    split: "train", "dev" or "test"; None for posts of one's own.
    protocol: of the data.
    step: of the checkpoint.
    visual_source: source of the regions, see `data.scenes.fallbacks`; None for
      a model that looks at pixels.
  """

  run: str
  split: str | None
  protocol: str
  step: int
  visual_source: str | None = None

  def __str__(self) -> str:
    """Returns one line that names all of it."""
    posts = f"split {self.split}" if self.split else "posts of one's own"
    line = (
      f"Alignment of {self.run}, {posts}, protocol {self.protocol},"
      f" checkpoint at step {self.step}"
    )
    source = self.visual_source
    return line if source is None else f"{line}, visual source: {source}"


class Grid(NamedTuple):
  """Patches drawn over a square.

  Attributes:
    column: number of the column whose patches they are.
    edges: what they cover, (x0, y0, x1, y1) in fractions of the square.
  """

  column: int
  edges: alignment_boxes.Edges


class Panel(NamedTuple):
  """A square with patches over it, drawn once for each entity.

  Attributes:
    title: what it shows.
    square: a PNG file.
    grids: the larger ones first, so that none is hidden.
  """

  title: str
  square: bytes
  grids: list[Grid]


@dataclasses.dataclass(frozen=True)
class Post:
  """A post, what a run makes of it, and what it looks at.

  Attributes:
    row: as prepared or read.
    gold: its relation, or None where nobody knows it.
    probabilities: of each relation.
    blanked: the same with every picture masked.
    alignment: its maps.
    sizes: side of the picture's square, and of each kind of crop, in pixels by
      field; objects are no squares and have none.
  """

  row: Row
  gold: str | None
  probabilities: dict[str, float]
  blanked: dict[str, float]
  alignment: Alignment
  sizes: dict[str, int]

  @property
  def predicted(self) -> str:
    """The likeliest relation."""
    return max(self.probabilities, key=self.probabilities.__getitem__)

  @property
  def verdict(self) -> str | None:
    """Whether the prediction is "right" or "wrong", None without a gold."""
    if self.gold is None:
      return None
    return "right" if self.predicted == self.gold else "wrong"

  @property
  def change(self) -> float:
    """How much the prediction depends on the pictures, see `CHANGE`."""
    pairs = zip(self.probabilities.values(), self.blanked.values(), strict=True)
    return sum(abs(p - q) for p, q in pairs) / 2

  @property
  def file_name(self) -> str:
    """The post's id as the stem of a file's name: "test-12".

    What else than words and dots is in it becomes "-", and a long one is cut:
    an id of one's own may be anything.
    """
    words = re.sub(r"[^\w.]+", "-", self.row.text.id)[:_MOST_CHARACTERS]
    return words.strip(".-") or "post"

  @property
  def picture(self) -> bytes | None:
    """The PNG file of the whole picture's square, read or not."""
    return next(iter(self.row.squares["image"]), None)

  def box(self, column: Column) -> tuple[float, ...] | None:
    """Returns a crop's or an object's box, or None if nobody knows it."""
    boxes = self.row.boxes.get(column.field, [])
    return boxes[column.index] if column.index < len(boxes) else None

  def place(self, column: Column) -> alignment_boxes.Place | None:
    """Returns where a crop or an object lies on the picture, if known."""
    box = self.box(column)
    if self.picture is None or box is None:
      return None
    return alignment_boxes.place(
      box,
      self.row.picture_size,
      self.sizes["image"],
      self.sizes.get(column.field),
    )

  def panels(self) -> list[Panel]:
    """Returns the picture, what lies on it, and crops of unknown place."""
    whole, on_picture, alone = [], [], []
    for number, column in enumerate(self.alignment.columns):
      place = self.place(column)
      if place:
        on_picture.append(Grid(number, place.grid))
        continue
      grid = [Grid(number, (0.0, 0.0, 1.0, 1.0))]
      target = whole if column.field == "image" else alone
      # An object has no square of its own.
      for square in self.row.squares.get(column.field, [])[column.index :][:1]:
        target.append(Panel(column.name, square, grid))
    if self.picture is not None and on_picture:
      on_picture.sort(key=lambda grid: -_area(grid.edges))
      title = "objects" if self.row.objects else "crops"
      whole.append(Panel(title, self.picture, on_picture))
    return whole + alone

  def to_json(self) -> dict[str, Any]:
    """Returns all numbers as plain values; words that were not read are None.

    The first axis of arrays is that of `maps`.
    """
    aligned, text = self.alignment, self.row.text
    return {
      "id": text.id,
      "img_id": text.img_id,
      "words": text.words,
      "head": list(text.head),
      "tail": list(text.tail),
      **({"gold": self.gold} if self.gold else {}),
      "predicted": self.predicted,
      "probabilities": _plain(self.probabilities),
      "blanked": _plain(self.blanked),
      "change": round(self.change, 7),
      "maps": list(aligned.maps),
      "columns": [column.name for column in aligned.columns],
      "labels": [column.label for column in aligned.columns],
      "elsewhere_columns": list(aligned.wording.elsewhere),
      "words_to_pictures": _plain(aligned.words.pictures),
      "words_to_elsewhere": _plain(aligned.words.elsewhere),
      "markers_to_pictures": _plain(aligned.markers.pictures),
      "markers_to_elsewhere": _plain(aligned.markers.elsewhere),
      "patches": {
        entity: {
          column.name: _plain(weights)
          for column, weights in zip(aligned.columns, grids, strict=True)
        }
        for entity, grids in aligned.patches.items()
      },
      "picture_size": list(self.row.picture_size),
      "boxes": self._boxes(),
      "notes": {"cell": aligned.wording.cell, "change": CHANGE},
    }

  def _boxes(self) -> dict[str, Any]:
    """Returns the box of each column that has one, in both kinds of pixels."""
    found = {}
    for column in self.alignment.columns:
      if box := self.box(column):
        place = self.place(column)
        found[column.name] = {
          "box": list(box),
          "on_square": place and place.box and _plain(np.array(place.box)),
          "patches_on_square": place and _plain(np.array(place.grid)),
        }
    return found


def _area(edges: alignment_boxes.Edges) -> float:
  x0, y0, x1, y1 = edges
  return (x1 - x0) * (y1 - y0)


def _plain(value: Any) -> Any:
  """Rounds to seven digits behind the point; NaN becomes None."""
  if isinstance(value, dict):
    return {key: _plain(inner) for key, inner in value.items()}
  if isinstance(value, (list, np.ndarray)):
    return [_plain(inner) for inner in value]
  return None if np.isnan(value) else round(float(value), 7)
