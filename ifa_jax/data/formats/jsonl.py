"""JSON lines, the format of your own data.

    {"text": "Ann joins Acme today", "relation": "/per/org/member_of",
     "head": {"start": 0, "end": 3}, "tail": {"start": 10, "end": 14}}

`train.jsonl`, `val.jsonl` (or `dev.jsonl`) and `test.jsonl` have a row per
line. A text is a string or a list of words. Offsets begin with 0 and exclude
the end; they count characters (Unicode code points) of a string and words of a
list, or with `"offsets": "words"` those of a string between spaces.

A head or tail may have a `name`, which must be its part of the text, and a
`type`, which is not read. A row may have an `image`, the name of a file in
`images/`; `boxes` of the picture, as in a file of boxes; a `caption` of it; and
an `id`. Any other key is an error.
"""

from collections.abc import Iterator
from typing import Any

from ifa_jax.data.formats import offsets
from ifa_jax.data.formats.reader import Reader, file_of
from ifa_jax.data.images import boxes
from ifa_jax.data.mnre import notation, text_file
from ifa_jax.data.mnre import row as rows
from ifa_jax.data.mnre.row import Row, RowError
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

_FILES = {
  "train": ("train.jsonl",),
  "val": ("val.jsonl", "dev.jsonl"),
  "test": ("test.jsonl",),
}
_REQUIRED = ("text", "head", "tail", "relation")
_KEYS = (*_REQUIRED, "offsets", "image", "boxes", "caption", "id")


class Jsonl(Reader):
  """A folder of JSON lines."""

  name = "jsonl"

  def __init__(self, raw_dir: str):
    """Finds the files.

    Raises:
      ValueError: if one is missing.
    """
    paths = {split: file_of(raw_dir, *names) for split, names in _FILES.items()}
    super().__init__(raw_dir, paths.values(), "images")
    self.paths = paths

  def read(self, split: str) -> Iterator[Row | RowError]:
    """Yields the rows of a split; holds one line and all ids in memory."""
    ids: set[str] = set()
    return text_file.read(
      self.paths[split],
      lambda text, line, where: self._row(
        _parse(text, where), split, line, where, ids
      ),
    )

  def _row(
    self,
    fields: dict[str, Any],
    split: str,
    line: int,
    where: str,
    ids: set[str],
  ) -> Row:
    """Returns a row, and keeps its boxes and its id: a bad row has neither."""
    row = _read_row(fields, split, line, where)
    if row.id in ids:
      message = f"expected an id of its own, got {row.id!r} again"
      raise RowError(where, "repeated id", message)
    listed = _read_boxes(fields, where)
    if listed is not None:
      self.keep_boxes(row.img_id, listed, where)
    ids.add(row.id)
    return row


def _read_row(fields: dict[str, Any], split: str, line: int, where: str) -> Row:
  cut = offsets.read(where, fields)
  relation = fields["relation"]
  if not isinstance(relation, str):
    raise RowError(
      where, "wrong type", f"expected a relation, got {shown(relation)}"
    )
  rows.check_relation(where, relation)
  return Row(
    split=split,
    line=line,
    words=tuple(cut.words),
    head=cut.head,
    tail=cut.tail,
    head_name=cut.names[0],
    tail_name=cut.names[1],
    img_id=_read_picture(fields, where),
    relation=relation,
    caption=rows.read_caption(where, fields.get("caption")),
    place=where,
    name=_read_id(fields, where),
  )


def _read_picture(fields: dict[str, Any], where: str) -> str:
  """Returns the name of a row's picture, "" without one."""
  name = fields.get("image")
  if name is not None:
    rows.check_bare_name(where, "image", name)
  elif fields.get("boxes") or fields.get("caption"):
    message = "expected 'image' with 'boxes' or 'caption', got"
    raise RowError(where, "missing key", f"{message} {shown([*fields])}")
  return name or ""


def _read_boxes(fields: dict[str, Any], where: str) -> list[boxes.Box] | None:
  """Returns the boxes of a row's picture, None if the row lists none."""
  if fields.get("boxes") is None or fields.get("image") is None:
    return None
  try:
    return boxes.read_list(fields["boxes"], "boxes")
  except ValueError as error:
    raise RowError(where, "bad boxes", str(error)) from None


def _parse(text: bytes, where: str) -> dict[str, Any]:
  """Returns the object of a line, with known keys only."""
  try:
    if len(text) > notation.MAX_BYTES:
      raise ValueError(f"longer than {notation.MAX_BYTES} bytes")
    if not text.strip():
      raise ValueError("expected a row, got an empty line")
    fields = json_file.parse(text.strip(), "expected JSON", strict=True)
  except json_file.RepeatedKey as error:
    raise RowError(where, "repeated key", str(error)) from None
  except ValueError as error:
    raise RowError(where, "not a JSON object", str(error)) from None
  if not isinstance(fields, dict):
    raise RowError(where, "not a JSON object", f"got {shown(fields)}")
  for key in _REQUIRED:
    if key not in fields:
      raise RowError(
        where, "missing key", f"expected {key!r}, got {shown([*fields])}"
      )
  offsets.check_keys(where, "a row", fields, _KEYS)
  return fields


def _read_id(fields: dict[str, Any], where: str) -> str:
  """Returns the row's own id, "" without one."""
  name = fields.get("id")
  if name is None:
    return ""
  if not rows.is_text(name) or not name.strip():
    raise RowError(
      where, "wrong type", f"expected a text as 'id', got {shown(name)}"
    )
  return name
