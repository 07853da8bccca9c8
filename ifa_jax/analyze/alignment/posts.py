"""A post, its maps, and the pictures that its figure and page show."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.analyze.alignment import boxes as alignment_boxes
from ifa_jax.analyze.alignment.boxes import Edges
from ifa_jax.analyze.alignment.maps import Alignment, Column, MapKind
from ifa_jax.data.scenes.store import Scene
from ifa_jax.data.text.row_text import RowText

# Written next to the numbers, so that a JSON file explains itself.
_CHANGE = (
  "total variation between the relation probabilities with the {} and without"
  " any: half the sum of absolute differences, 0 to 1"
)


def describe_change(kind: MapKind) -> str:
  """Returns the meaning of `AlignedPost.change`."""
  return _CHANGE.format(kind.inputs)


# At most 4 bytes each; file systems allow names of 255 bytes.
_MAX_CHARACTERS = 50


class PostSource(NamedTuple):
  """Where posts come from, and the run that predicted them.

  Attributes:
    run: the run's directory, as given by the user.
    split: "train", "dev" or "test"; None for your own posts.
    protocol: of the data.
    step: of the checkpoint.
    visual_source: source of the regions, see `data.scenes.fallbacks`; None for
      a model that reads pixels.
  """

  run: str
  split: str | None
  protocol: str
  step: int
  visual_source: str | None = None

  def __str__(self) -> str:
    """Returns one line with all fields."""
    posts = f"split {self.split}" if self.split else "your own posts"
    line = (
      f"Alignment of {self.run}, {posts}, protocol {self.protocol},"
      f" checkpoint at step {self.step}"
    )
    source = self.visual_source
    return line if source is None else f"{line}, visual source: {source}"


class DisplayRow(NamedTuple):
  """The text of a post, and its pictures for display.

  Attributes:
    text: words, spans and tokens as the model reads them.
    picture_size: (width, height) of the original, (0, 0) without a picture.
    boxes: "grounded", "detected" or "object" -> [x0, y0, x1, y1] of each in
      pixels of the original; empty if unknown.
    squares: field -> PNG files, at most one for "image".
    objects: those that the model reads, or the words of the caption; none for
      a model of pixels.
  """

  text: RowText
  picture_size: tuple[int, int]
  boxes: dict[str, list[tuple[float, ...]]]
  squares: dict[str, list[bytes]]
  objects: Sequence[Column] = ()

  def with_caption(self, reads_caption: str) -> "DisplayRow":
    """Adds the caption's words, for a model that reads it in this way."""
    # A stream begins with the caption's [CLS]; a second segment follows the
    # text, without it.
    start = 0
    if reads_caption == "segment":
      start = len(self.text.encoded.input_ids) - 1
    word_ids = np.asarray(self.text.caption.word_ids, int)
    columns = []
    for word in map(int, np.unique(word_ids[word_ids >= 0])):
      tokens = np.flatnonzero(word_ids == word)
      first, count = int(tokens[0]), len(tokens)
      label = self.text.caption.words[word]
      columns.append(
        Column("caption", word, start + first, 1, label, num_pieces=count)
      )
    return self._replace(objects=columns)

  def with_objects(self, scene: Scene | None, num: int) -> "DisplayRow":
    """Replaces the crops with the first objects of the picture's scene."""
    size, boxes = self.picture_size, []
    if scene is not None and scene.boxes is not None:
      # A scene may be of another size than its picture.
      size = size if any(size) else scene.size
      scale = np.array(size * 2) / (scene.size * 2)
      boxes = (scene.boxes[:num] * scale).tolist()
    labels = scene.labels if scene and len(scene.labels) else [""] * num
    return self._replace(
      picture_size=size,
      boxes={"object": [tuple(box) for box in boxes]},
      objects=[Column("object", i, i, label=labels[i]) for i in range(num)],
    )


class Panel(NamedTuple):
  """A square with patches over it, drawn once per entity.

  Attributes:
    square: a PNG file.
    grids: (number of the column, area of its patches), the larger ones first,
      so that none is hidden.
  """

  title: str
  square: bytes
  grids: list[tuple[int, Edges]]


@dataclasses.dataclass(frozen=True)
class AlignedPost:
  """A post with the model's predictions and maps.

  Attributes:
    gold: its relation, or None if unknown.
    probabilities: of each relation.
    blanked: the same with every picture masked.
    sizes: field -> side of its squares in pixels; objects have none.
    resize: form of the squares, see `decode.fit`.
  """

  row: DisplayRow
  gold: str | None
  probabilities: dict[str, float]
  blanked: dict[str, float]
  alignment: Alignment
  sizes: dict[str, int]
  resize: str = "fit"

  @property
  def ranked(self) -> list[str]:
    """All relations, the most probable first."""
    return sorted(self.probabilities, key=lambda n: -self.probabilities[n])

  @property
  def predicted(self) -> str:
    """The most probable relation."""
    return self.ranked[0]

  @property
  def verdict(self) -> str | None:
    """ "right" or "wrong"; None without a gold relation."""
    if self.gold is None:
      return None
    return "right" if self.predicted == self.gold else "wrong"

  @property
  def change(self) -> float:
    """The effect of the pictures on the prediction, see `describe_change`."""
    pairs = zip(self.probabilities.values(), self.blanked.values(), strict=True)
    return sum(abs(p - q) for p, q in pairs) / 2

  @property
  def file_name(self) -> str:
    """The id as a file name without extension: "test-12" for "test/12".

    Users choose the ids of their own posts, so unsafe characters become "-" and
    long ids are cut.
    """
    words = re.sub(r"[^\w.]+", "-", self.row.text.id)[:_MAX_CHARACTERS]
    return words.strip(".-") or "post"

  @property
  def picture(self) -> bytes | None:
    """PNG file of the whole picture, even if the model does not read it."""
    return next(iter(self.row.squares["image"]), None)

  def entity_words(self, entity: str) -> str:
    """Returns the words of the "head" or the "tail"."""
    return " ".join(self.row.text.words[slice(*getattr(self.row.text, entity))])

  def box(self, column: Column) -> tuple[float, ...] | None:
    """Returns the box of a crop or an object, or None if unknown."""
    boxes = self.row.boxes.get(column.field, [])
    return boxes[column.index] if column.index < len(boxes) else None

  def place(self, column: Column) -> alignment_boxes.Place | None:
    """Returns the position of a crop or an object on the picture, if known."""
    box = self.box(column)
    if self.picture is None or box is None:
      return None
    return alignment_boxes.place(
      box,
      self.row.picture_size,
      self.sizes["image"],
      self.sizes.get(column.field),
      self.resize,
    )

  def panels(self) -> list[Panel]:
    """Returns the picture, its crops or objects, and crops of unknown place."""
    whole, on_picture, apart = [], [], []
    for number, column in enumerate(self.alignment.columns):
      if place := self.place(column):
        on_picture.append((number, place.grid))
        continue
      target = whole if column.field == "image" else apart
      # Objects have no squares of their own.
      for square in self.row.squares.get(column.field, [])[column.index :][:1]:
        grid = (number, (0.0, 0.0, 1.0, 1.0))
        target.append(Panel(column.name, square, [grid]))
    if self.picture is not None and on_picture:
      on_picture.sort(key=lambda grid: -_area(grid[1]))
      title = "objects" if self.row.objects else "crops"
      whole.append(Panel(title, self.picture, on_picture))
    return whole + apart

  def to_json(self) -> dict[str, Any]:
    """Returns all numbers as plain values, None for words without a token.

    Axis 0 of arrays follows `maps`.
    """
    aligned, text = self.alignment, self.row.text
    return {
      "id": text.id,
      "img_id": text.img_id,
      "words": text.words,
      **({"caption": [*text.caption.words]} if text.caption.words else {}),
      "head": list(text.head),
      "tail": list(text.tail),
      **({"gold": self.gold} if self.gold else {}),
      "predicted": self.predicted,
      "probabilities": _plain(self.probabilities),
      "blanked": _plain(self.blanked),
      "change": round(self.change, 7),
      "maps": list(aligned.kind.titles),
      "columns": [column.name for column in aligned.columns],
      "labels": [column.label for column in aligned.columns],
      "elsewhere_columns": list(aligned.kind.elsewhere),
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
      "notes": {
        "cell": aligned.kind.cell,
        "change": describe_change(aligned.kind),
      },
    }

  def _boxes(self) -> dict[str, Any]:
    """Returns the known boxes by column, in pixels and on the square."""
    found = {}
    for column in self.alignment.columns:
      if box := self.box(column):
        place = self.place(column)
        found[column.name] = {
          "box": list(box),
          "on_square": place and place.box and _plain([*place.box]),
          "patches_on_square": place and _plain([*place.grid]),
        }
    return found


def _area(edges: Edges) -> float:
  x0, y0, x1, y1 = edges
  return (x1 - x0) * (y1 - y0)


def _plain(value: Any) -> Any:
  """Rounds to seven decimal places; NaN becomes None."""
  if isinstance(value, dict):
    return {key: _plain(inner) for key, inner in value.items()}
  if isinstance(value, (list, np.ndarray)):
    return [_plain(inner) for inner in value]
  return None if np.isnan(value) else round(float(value), 7)
