"""The lines of an MNRE text file.

{'token': ['Bill', 'Cosby', 'in', 'Rome'], 'img_id': 'a.jpg',
 'h': {'name': 'Bill Cosby', 'pos': [0, 2]},
 't': {'name': 'Rome', 'pos': [3, 4]}, 'relation': '/per/misc/present_in'}

A line may have a 'caption', the picture in words. Other keys are ignored.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

from ifa_jax.data import relation_names
from ifa_jax.data.images import decode
from ifa_jax.data.mnre import notation
from ifa_jax.data.mnre import row as rows
from ifa_jax.data.mnre.row import Row, RowError
from ifa_jax.files import json_file
from ifa_jax.files.shown import one_line, shown

# MNRE-1 names pictures by the posts' numbers, which fit into 64 bits.
_MAX_NUMBER = 1 << 63

# Formats that cannot be read keep their suffix too, and are refused later.
_PICTURE_SUFFIXES = (*decode.SUFFIXES, ".avif", ".heic", ".heif", ".jxl")

_NO_PICTURE = (
  "; a post without a picture names a file that does not exist, see"
  " --missing_pixels=absent"
)

_KEYS = {
  "token": list,
  "h": dict,
  "t": dict,
  "img_id": (str, int),
  "relation": str,
}
_DESCRIBED = {
  "token": "a list of words",
  "h": "an object",
  "t": "an object",
  "img_id": "a file name or a number",
  "relation": "a name",
}


def read(
  path: str, read_row: Callable[[bytes, int, str], Row]
) -> Iterator[Row | RowError]:
  """Yields the row that a function gives for each line: text, number, place.

  Holds one line in memory. A bad row is an error among the rows.

  Raises:
    RowError: for a line that is too long: the next one's beginning is unknown.
  """
  with open(path, "rb") as file:
    texts = iter(lambda: file.readline(notation.MAX_BYTES + 1), b"")
    for line, text in enumerate(texts, start=1):
      try:
        yield read_row(text, line, f"{os.path.basename(path)}:{line}")
      except RowError as error:
        yield error
        if len(text) > notation.MAX_BYTES:
          raise


def read_line(
  text: bytes,
  split: str,
  line: int,
  where: str,
  relations: list[str] | None,
  parse: notation.Parse,
) -> Row:
  """Parses and validates one line of a file.

  Args:
    text: the line.
    split: train, val or test.
    line: its number, from 1.
    where: the file and the line, for errors.
    relations: the allowed names, None for any.
    parse: `notation.of_file` of the file.

  Raises:
    RowError: for the first error in it.
  """
  fields = read_fields(text, where, parse)
  words, relation = fields["token"], fields["relation"]
  rows.check_words(where, words)
  head, head_name = rows.read_entity(where, "h", fields["h"], words)
  tail, tail_name = rows.read_entity(where, "t", fields["t"], words)
  if relations is not None and relation not in relations:
    look = relation_names.look
    alike = [name for name in relations if look(name) == look(relation)]
    hint = f", which spell it {alike[0]!r}" if alike else ""
    raise RowError(
      where,
      "unknown relation",
      f"expected one of the {len(relations)} relations{hint}, got"
      f" {relation[:80]!r}",
    )
  rows.check_relation(where, relation)
  return Row(
    split=split,
    line=line,
    words=tuple(words),
    head=head,
    tail=tail,
    head_name=head_name,
    tail_name=tail_name,
    img_id=_read_picture(where, fields["img_id"]),
    relation=relation,
    caption=rows.read_caption(where, fields.get("caption")),
  )


def read_fields(
  text: bytes, where: str, parse: notation.Parse
) -> dict[str, Any]:
  """Returns the values of a line, those of `_KEYS` and any others.

  Raises:
    RowError: for another literal, or a value of another type.
  """
  kind = "a JSON object" if parse is notation.read_json else "a dict literal"
  try:
    if len(text) > notation.MAX_BYTES:
      raise ValueError(f"longer than {notation.MAX_BYTES} bytes")
    if not text.strip():
      raise ValueError("expected a row, got an empty line")
    fields = parse(text.decode("utf-8-sig").strip())
  except json_file.RepeatedKey as error:
    raise RowError(where, "repeated key", str(error)) from None
  # Python's parser raises all of these, two of them for deep nesting.
  except notation.ERRORS as error:
    raise RowError(where, f"not {kind}", one_line(error)) from None
  if not isinstance(fields, dict):
    raise RowError(where, f"not {kind}", f"got a {type(fields).__name__}")
  for key, kind in _KEYS.items():
    if key not in fields:
      raise rows.missing_key(where, repr(key), fields)
    value = fields[key]
    if not isinstance(value, kind) or isinstance(value, bool):
      message = f"expected {_DESCRIBED[key]} in {key!r}, got {shown(value)}"
      message += _NO_PICTURE * (key == "img_id" and value is None)
      raise RowError(where, "wrong type", message)
  return fields


def _read_picture(where: str, img_id: str | int) -> str:
  if isinstance(img_id, int) and not 0 <= img_id < _MAX_NUMBER:
    raise RowError(
      where, "wrong type", f"expected 'img_id' below 2^63, got {shown(img_id)}"
    )
  img_id = str(img_id)
  rows.check_bare_name(where, "img_id", img_id, _NO_PICTURE)
  # MNRE-1 leaves the suffix out: 64738 is "64738.jpg".
  if not img_id.lower().endswith(_PICTURE_SUFFIXES):
    img_id += ".jpg"
  return img_id
