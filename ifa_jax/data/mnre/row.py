"""One validated line of an MNRE text file.

{'token': ['Bill', 'Cosby', 'in', 'Rome'], 'img_id': 'a.jpg',
 'h': {'name': 'Bill Cosby', 'pos': [0, 2]},
 't': {'name': 'Rome', 'pos': [3, 4]}, 'relation': '/per/misc/present_in'}

A line may have a 'caption', the picture in words. Other keys are ignored.
"""

import dataclasses
from typing import Any

from ifa_jax.data import relation_names
from ifa_jax.data.images import decode
from ifa_jax.data.mnre import notation
from ifa_jax.data.text import markers
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

# The longest published line has 426 bytes.
MAX_BYTES = 1 << 20
# MNRE-1 names pictures by the posts' numbers, which fit into 64 bits.
_MAX_NUMBER = 1 << 63

# Formats that cannot be read keep their suffix too, and are refused later.
_PICTURE_SUFFIXES = (*decode.SUFFIXES, ".avif", ".heic", ".heif", ".jxl")

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


@dataclasses.dataclass(frozen=True)
class Row:
  """One line of a text file. Spans are (begin, end) words, end exclusive.

  Attributes:
    split: train, val or test.
    line: line of the file, from 1.
    words: the text.
    head: span of the head.
    tail: span of the tail.
    head_name: the head in the file's spelling, whose spaces may differ from
      those between the words.
    tail_name: likewise.
    img_id: the picture's file name; "" for a row without one, which MNRE has
      none of.
    relation: one of `read_relations`.
    caption: the picture in words, "" without one.
    place: the row's file and place in it, "" for a line of MNRE's text files.
    name: the id that the file gives the row, "" for none.
  """

  split: str
  line: int
  words: tuple[str, ...]
  head: markers.Span
  tail: markers.Span
  head_name: str
  tail_name: str
  img_id: str
  relation: str
  caption: str = ""
  place: str = ""
  name: str = ""

  @property
  def id(self) -> str:
    """Its own id, or "test/12": the split and the line."""
    return self.name or f"{self.split}/{self.line}"

  @property
  def where(self) -> str:
    """ "ours_test.txt:12": the file and the line."""
    return self.place or f"{file_name(self.split)}:{self.line}"


class RowError(ValueError):
  """An invalid row.

  Attributes:
    where: "ours_train.txt:12".
    reason: the kind of error, for counting.
  """

  def __init__(self, where: str, reason: str, message: str):
    """Makes the text "ours_train.txt:12: reason: message"."""
    super().__init__(f"{where}: {reason}: {message}")
    self.where = where
    self.reason = reason


def file_name(split: str) -> str:
  """Returns the name of a split's text file."""
  return f"ours_{split}.txt"


def read_line(
  text: bytes,
  split: str,
  line: int,
  relations: list[str] | None,
  parse: notation.Parse,
) -> Row:
  """Parses and validates one line of a file.

  Args:
    text: the line.
    split: train, val or test.
    line: its number, from 1.
    relations: the allowed names, None for any.
    parse: `notation.of_file` of the file.

  Raises:
    RowError: for the first error in it.
  """
  where = f"{file_name(split)}:{line}"
  fields = read_fields(text, where, parse)
  words, relation = fields["token"], fields["relation"]
  check_words(where, words)
  head, head_name = read_entity(where, "h", fields["h"], words)
  tail, tail_name = read_entity(where, "t", fields["t"], words)
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
  check_relation(where, relation)
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
    caption=read_caption(where, fields.get("caption")),
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
    if len(text) > MAX_BYTES:
      raise ValueError(f"longer than {MAX_BYTES} bytes")
    fields = parse(text.decode("utf-8-sig").strip())
  except json_file.RepeatedKey as error:
    raise RowError(where, "repeated key", str(error)) from None
  # Python's parser raises all of these, two of them for deep nesting.
  except notation.ERRORS as error:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    raise RowError(where, f"not {kind}", reason) from None
  if not isinstance(fields, dict):
    raise RowError(where, f"not {kind}", f"got a {type(fields).__name__}")
  for key, kind in _KEYS.items():
    if key not in fields:
      raise _missing(where, repr(key), fields)
    value = fields[key]
    if not isinstance(value, kind) or isinstance(value, bool):
      hint = "; a post without a picture names a file that does not exist, see"
      hint += " --missing_pixels=absent"
      message = f"expected {_DESCRIBED[key]} in {key!r}, got {shown(value)}"
      message += hint * (key == "img_id" and value is None)
      raise RowError(where, "wrong type", message)
  return fields


def check_words(where: str, words: Any) -> None:
  """Raises RowError unless it is a list of words."""
  is_list = isinstance(words, list) and len(words) > 0
  if not is_list or not all(map(is_text, words)):
    raise RowError(
      where,
      "bad token list",
      f"expected words in whole characters, got {shown(words)}",
    )


def check_relation(where: str, relation: str) -> None:
  """Raises RowError unless a relation's name fits on one line."""
  if not relation or not relation.isprintable():
    raise RowError(
      where,
      "unknown relation",
      f"expected a name in printable characters, got {shown(relation)}",
    )


def check_bare_name(where: str, kind: str, name: Any) -> None:
  """Raises RowError unless `name` is a file's name without a folder.

  `../../etc/passwd` would read a file outside of the data.
  """
  bare = is_text(name) and name not in ("", ".", "..")
  if not bare or any(character in name for character in "/\\\0"):
    raise RowError(
      where,
      f"{kind} leaves the data folder",
      f"expected the bare name of a file, got {shown(name)}",
    )


def is_text(value: Any) -> bool:
  """Returns whether a value is text without lone surrogates, "\\ud83d"."""
  try:
    value.encode()
  except (AttributeError, UnicodeEncodeError):
    return False
  return isinstance(value, str)


def read_caption(where: str, caption: Any) -> str:
  """Returns the caption that a row may have, "" without one.

  Raises:
    RowError: unless it is a text.
  """
  if caption is None:
    return ""
  if not is_text(caption):
    message = f"expected a text in 'caption', got {shown(caption)}"
    raise RowError(where, "wrong type", message)
  return caption.strip()


def _read_picture(where: str, img_id: str | int) -> str:
  if isinstance(img_id, int) and not 0 <= img_id < _MAX_NUMBER:
    raise RowError(
      where, "wrong type", f"expected 'img_id' below 2^63, got {shown(img_id)}"
    )
  img_id = str(img_id)
  # MNRE-1 leaves the suffix out: 64738 is "64738.jpg".
  if not img_id.lower().endswith(_PICTURE_SUFFIXES):
    img_id += ".jpg"
  check_bare_name(where, "img_id", img_id)
  return img_id


def _missing(where: str, key: str, fields: dict[str, Any]) -> RowError:
  message = f"expected {key}, got {shown(list(fields))}"
  return RowError(where, "missing key", message)


def read_entity(
  where: str, key: str, entity: dict[str, Any], words: list[str]
) -> tuple[markers.Span, str]:
  """Returns the span and the name of an entity.

  Raises:
    RowError: if it is no span of the words, or has another name than these.
  """
  for wanted in ("name", "pos"):
    if wanted not in entity:
      raise _missing(where, f"{wanted!r} in {key!r}", entity)
  name, pos = entity["name"], entity["pos"]
  integers = isinstance(pos, (list, tuple)) and all(type(p) is int for p in pos)
  if not integers or len(pos) != 2 or not isinstance(name, str):
    raise RowError(
      where,
      "wrong type",
      f"expected a name and a pos of two integers in {key!r}, got"
      f" {shown(entity)}",
    )
  begin, end = pos
  if not 0 <= begin < end <= len(words):
    raise RowError(
      where,
      "bad span",
      f"expected {key!r} in words [begin, end) of the {len(words)}, not in"
      f" characters, got pos [{shown(begin)}, {shown(end)})",
    )
  # MNRE-1 splits "#Bears" into two words and keeps the name whole.
  if "".join(name.split()) != "".join("".join(words[begin:end]).split()):
    raise RowError(
      where,
      "name differs from span",
      f"expected {key!r} to be named {' '.join(words[begin:end])[:80]!r}, as"
      f" its words [{begin}, {end}), the end exclusive, got {name[:80]!r}",
    )
  return (begin, end), name
