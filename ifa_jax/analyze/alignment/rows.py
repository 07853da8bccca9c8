"""What a post has that can be shown: pictures, crops and objects."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ifa_jax.analyze.alignment import regions
from ifa_jax.analyze.alignment.maps import Column
from ifa_jax.data.images import decode
from ifa_jax.data.scenes.store import Scene
from ifa_jax.data.text.row_text import RowText
from ifa_jax.inference.reader import Example


class Row(NamedTuple):
  """What can be shown of a post beside what a model reads.

  Attributes:
    text: its words, spans and tokens, as the model reads them.
    picture_size: (width, height) of the original, (0, 0) without one.
    boxes: "grounded", "detected" or "object" -> [x0, y0, x1, y1] of each in
      pixels of the original; empty where nobody knows their place.
    squares: field -> PNG files, "image" none or one.
    objects: columns of those that the model reads; none for one of pixels.
  """

  text: RowText
  picture_size: tuple[int, int]
  boxes: dict[str, list[tuple[float, ...]]]
  squares: dict[str, list[bytes]]
  objects: Sequence[Column] = ()


def of_example(
  example: Example, post_id: str, img_id: str, square: np.ndarray | None
) -> Row:
  """Returns what can be shown of a post of one's own.

  Args:
    example: the post as a model reads it.
    post_id: its name, may be empty.
    img_id: the name of its picture, may be empty.
    square: of the whole picture, uint8[size, size, 3], or None.
  """
  encoded = {
    field: [*map(decode.encode_png, squares)]
    for field, squares in example.squares.items()
  }
  whole = [] if square is None else [decode.encode_png(square)]
  named = {"id": _writable(post_id), "img_id": _writable(img_id)}
  row = Row(
    text=example.text._replace(**named),
    picture_size=example.picture_size,
    boxes=example.boxes,
    squares=encoded | {"image": whole},
  )
  if not example.regions:
    return row
  num_objects, scene = int(example.regions["region_mask"].sum()), example.scene
  if scene is not None:
    scene = scene._replace(labels=[*map(_writable, scene.labels)])
  return with_objects(row, scene, num_objects)


def _writable(text: str) -> str:
  """Returns a text with "?" for halves of characters, which no file takes."""
  return text.encode("utf-8", "replace").decode()


def with_objects(row: Row, scene: Scene | None, num: int) -> Row:
  """Returns a row with the objects of its picture in place of its crops.

  Args:
    row: as prepared or read.
    scene: of its picture, or None.
    num: how many of its objects the model reads, the first.
  """
  size, boxes = row.picture_size, []
  if scene is not None and scene.boxes is not None:
    # What finds objects may have read the picture in another size.
    size, boxes = scene.size, scene.boxes[:num].tolist()
  return row._replace(
    picture_size=size,
    boxes={"object": [tuple(box) for box in boxes]},
    objects=regions.name_objects(scene, num),
  )
