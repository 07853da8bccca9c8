"""Rows whose heads and tails may be objects of the picture, see `more`.

A row's words get one `OBJECT` for each of its objects, at the end, which is the
entity that is marked. Under the protocol clean its box is a grounded crop, so
that a row has as many as it has objects. All objects of a picture, the row's
own ones too, are its detected crops, in the order of the list.
"""

import abc
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ifa_jax.data import relation_names
from ifa_jax.data.formats.reader import NEGATIVE, NONE, Reader, file_of
from ifa_jax.data.images import boxes, decode
from ifa_jax.data.mnre import notation, text_file, tree
from ifa_jax.data.mnre import row as rows
from ifa_jax.data.mnre.row import Row, RowError
from ifa_jax.files import json_file, torch_file
from ifa_jax.files.shown import shown

# The word of an object in a row.
OBJECT = "[object]"
# Edges of centres and sizes with four digits may exceed the picture by less.
_SLACK = 1e-3


class WithObjects(Reader):
  """A dataset whose heads and tails may be objects of the picture."""

  def __init__(
    self,
    raw_dir: str,
    texts: Mapping[str, str],
    objects: Mapping[str, str],
    relations: str,
    folder: str,
  ):
    """Reads the lists of objects and relations.

    Args:
      raw_dir: the folder of the dataset.
      texts: split -> its file of rows.
      objects: split -> its list of objects.
      relations: the file of their ids.
      folder: of the pictures.

    Raises:
      ValueError: if a file is missing or malformed.
    """
    paths = {split: file_of(raw_dir, name) for split, name in texts.items()}
    self._lists = {x: file_of(raw_dir, name) for x, name in objects.items()}
    ids = file_of(raw_dir, relations)
    files = dict.fromkeys([*paths.values(), *self._lists.values(), ids])
    super().__init__(raw_dir, files, folder)
    self.paths = paths
    self._names = tree.read_ids(ids)
    relation_names.check(self._names, ids)
    read = {path: _load(path) for path in {*self._lists.values()}}
    self._objects = {split: read[path] for split, path in self._lists.items()}
    # Split and picture, once its boxes are in pixels.
    self._kept: set[tuple[str, str]] = set()

  @functools.cached_property
  def relations(self) -> list[str]:
    """Names by id in the file of relations, None first."""
    # Reads all rows, and so the boxes of their pictures.
    _ = self._spelled
    others = (name for name in self._names if name.lower() not in NEGATIVE)
    return [NONE, *others]

  def describe(self) -> dict[str, Any]:
    """Returns the word of an object as well."""
    return super().describe() | {"object_word": OBJECT}

  def read(self, split: str) -> Iterator[Row | RowError]:
    """Yields the rows of a split; holds one line in memory."""
    with open(self.paths[split], "rb") as file:
      parse = notation.of_file(file)
    return text_file.read(
      self.paths[split],
      lambda text, line, where: self._row(
        text_file.read_fields(text, where, parse), split, line, where
      ),
    )

  def _row(
    self, fields: dict[str, Any], split: str, line: int, where: str
  ) -> Row:
    words, relation = fields["token"], fields["relation"]
    rows.check_words(where, words)
    if relation not in self._names:
      raise RowError(
        where,
        "unknown relation",
        f"expected one of the {len(self._names)} relations, got"
        f" {shown(relation)}",
      )
    rows.check_bare_name(where, "img_id", fields["img_id"])
    listed = self._listed(split, fields["img_id"], where)
    spans, names, marked = [], [], [*words]
    for key in ("h", "t"):
      if self.is_object(where, key, fields[key]):
        name = _object(where, key, fields[key], listed)
        span = len(marked), len(marked) + 1
        marked.append(OBJECT)
      else:
        span, name = rows.read_entity(where, key, fields[key], words)
      spans.append(span)
      names.append(name)
    row = Row(
      split=split,
      line=line,
      words=tuple(marked),
      head=spans[0],
      tail=spans[1],
      head_name=names[0],
      tail_name=names[1],
      img_id=fields["img_id"],
      relation=relation,
      place=where,
    )
    self._keep_objects(row, listed)
    return row

  @abc.abstractmethod
  def is_object(self, where: str, key: str, entity: dict[str, Any]) -> bool:
    """Returns whether a head ("h") or tail ("t") is an object.

    Raises:
      RowError: if it is neither that nor a part of the text.
    """

  @abc.abstractmethod
  def corners(self, box: Sequence[float]) -> Sequence[float]:
    """Returns (x0, y0, x1, y1) in fractions of a box in the file."""

  def _listed(self, split: str, name: str, where: str) -> dict[str, Any]:
    """Returns the objects of a picture: name -> box as the file has it."""
    found = self._objects[split].get(name)
    if not isinstance(found, dict) or not all(map(rows.is_text, found)):
      raise RowError(
        where,
        "bad objects",
        f"expected an object of names to boxes of {name!r} in"
        f" {self._lists[split]}, got {shown(found)}",
      )
    if len({boxes.name_key(x) for x in found}) < len(found):
      raise RowError(
        where,
        "bad objects",
        "expected names that differ in letters or digits, got"
        f" {shown([*found])}",
      )
    return found

  def _keep_objects(self, row: Row, listed: Mapping[str, Any]) -> None:
    """Adds the boxes of a row's picture in pixels, unless they are there."""
    key = (row.split, row.img_id)
    if key in self._kept:
      return
    path = self.pictures.find(row)
    try:
      # Without the picture nothing is cut: only the number of boxes is read.
      size = decode.open_picture(path).size if path else (1, 1)
      found = boxes.read_list(
        [
          {"box": self._clip(box), "score": 1, "label": name}
          for name, box in listed.items()
        ],
        f"objects of {row.img_id!r}",
        boxes.FRACTION,
      )
    except ValueError as error:
      raise RowError(row.where, "bad objects", str(error)) from None
    found = [x._replace(edges=boxes.to_pixels(x.edges, size)) for x in found]
    named = [x._replace(phrase=_phrase(x.label)) for x in found]
    self.keep_boxes(row.img_id, [*found, *named], row.where)
    self._kept.add(key)

  def _clip(self, box: Any) -> Any:
    """Returns corners without rounding errors; anything else as it is."""
    if not boxes.are_edges(box):
      return box
    return [
      min(max(x, 0), 1) if -_SLACK <= x <= 1 + _SLACK else x
      for x in self.corners(box)
    ]


def _load(path: str) -> dict[str, Any]:
  """Returns picture's file name -> its objects, unchecked."""
  is_torch = path.endswith(".pth")
  found = torch_file.load(path) if is_torch else json_file.load(path)
  if not isinstance(found, dict):
    raise ValueError(
      f"{path}: expected an object of pictures to objects, got {shown(found)}"
    )
  return found


def _object(
  where: str, key: str, entity: dict[str, Any], listed: Mapping[str, Any]
) -> str:
  """Returns the phrase of a head or tail that is an object."""
  name = entity.get("name")
  if not isinstance(name, str) or name not in listed:
    raise RowError(
      where,
      "unknown object",
      f"expected one of {shown([*listed])} as the name in {key!r}, got"
      f" {shown(name)}",
    )
  return _phrase(name)


def _phrase(name: str | None) -> str:
  """Returns the name of an object's box, which no entity of a text has."""
  return f"object={name}"
