"""One line of an MNRE text file, checked.

{'token': ['Bill', 'Cosby', 'in', 'Rome'], 'img_id': 'a.jpg',
 'h': {'name': 'Bill Cosby', 'pos': [0, 2]},
 't': {'name': 'Rome', 'pos': [3, 4]}, 'relation': '/per/misc/present_in'}
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

# What cannot be read is looked for by its own name as well, and refused.
_PICTURE_SUFFIXES = (*decode.SUFFIXES, ".avif", ".heic", ".heif", ".jxl")

_KEYS = {
  "token": list,
  "h": dict,
  "t": dict,
  "img_id": (str, int),
  "relation": str,
}


@dataclasses.dataclass(frozen=True)
class Row:
  """One line of a text file. Spans are (begin, end) words, end exclusive.

  Attributes:
    split: train, val or test.
    line: of the file, from 1.
    file: the file's name, for messages.
    words: the text.
    head: span of the head.
    tail: span of the tail.
    head_name: the head as the file names it; its words, but for spaces.
    tail_name: the tail likewise.
    img_id: the picture's file name.
    relation: one of `read_relations`.
  """

  split: str
  line: int
  file: str
  words: tuple[str, ...]
  head: markers.Span
  tail: markers.Span
  head_name: str
  tail_name: str
  img_id: str
  relation: str

  @property
  def id(self) -> str:
    """ "test/12": the split and the line."""
    return f"{self.split}/{self.line}"

  @property
  def where(self) -> str:
    """ "ours_test.txt:12": the file and the line."""
    return f"{self.file}:{self.line}"


class RowError(ValueError):
  """What is wrong with one row.

  Attributes:
    where: "ours_train.txt:12".
    reason: a few words that equal errors share, for counting.
  """

  def __init__(self, where: str, reason: str, message: str):
    """Makes the text "ours_train.txt:12: reason: message"."""
    super().__init__(f"{where}: {reason}: {message}")
    self.where = where
    self.reason = reason


def read_line(
  text: bytes,
  split: str,
  line: int,
  file_name: str,
  relations: list[str] | None,
  parse: notation.Parse = notation.read_literal,
) -> Row:
  """Checks one line of a file.

  Args:
    text: the line as it stands in the file.
    split: train, val or test.
    line: its number, from 1.
    file_name: for messages.
    relations: the names that a row may have, None for any.
    parse: of `notation`, the file's.

  Raises:
    RowError: for the first thing wrong with it.
  """
  where = f"{file_name}:{line}"
  fields = _parse(text, where, parse)
  words = fields["token"]
  if not words or not all(map(is_text, words)):
    raise RowError(
      where,
      "bad token list",
      f"wanted words in whole characters, found {shown(words)}",
    )
  head, head_name = _read_entity(where, "h", fields["h"], words)
  tail, tail_name = _read_entity(where, "t", fields["t"], words)
  relation = fields["relation"]
  if relations is not None and relation not in relations:
    raise RowError(
      where,
      "unknown relation",
      f"{relation[:80]!r} is none of the {len(relations)} relations"
      + _alike(relation, relations),
    )
  check_relation(where, relation)
  img_id = _picture_name(where, fields["img_id"])
  check_bare_name(where, "img_id", img_id)
  return Row(
    split=split,
    line=line,
    file=file_name,
    words=tuple(words),
    head=head,
    tail=tail,
    head_name=head_name,
    tail_name=tail_name,
    img_id=img_id,
    relation=relation,
  )


def _alike(relation: str, relations: list[str]) -> str:
  """Returns a hint at the relation that looks like an unknown one, or ""."""
  seen = relation_names.look(relation)
  alike = [name for name in relations if relation_names.look(name) == seen]
  return f", which spell it {alike[0]!r}" if alike else ""


def check_relation(where: str, relation: str) -> None:
  """Raises RowError unless a relation's name can stand in a line of a list."""
  if not relation or not relation.isprintable():
    raise RowError(
      where,
      "unknown relation",
      f"wanted a name in printable characters, found {shown(relation)}",
    )


def check_bare_name(where: str, kind: str, name: Any) -> None:
  """Raises RowError unless `name` is a file's name without a folder.

  `../../etc/passwd` would have a file read that is none of the data.
  """
  bare = is_text(name) and name not in ("", ".", "..")
  if not bare or any(character in name for character in "/\\\0"):
    raise RowError(
      where,
      f"{kind} leaves the data folder",
      f"wanted the bare name of a file, found {shown(name)}",
    )


def is_text(value: Any) -> bool:
  """Tells text from all else, and from halves of characters, "\\ud83d"."""
  try:
    value.encode()
  except (AttributeError, UnicodeEncodeError):
    return False
  return isinstance(value, str)


def _parse(text: bytes, where: str, parse: notation.Parse) -> dict[str, Any]:
  """Reads a dict with the keys of `_KEYS`; runs nothing."""
  kind = "a JSON object" if parse is notation.read_json else "a dict literal"
  try:
    if len(text) > MAX_BYTES:
      raise ValueError(f"longer than {MAX_BYTES} bytes")
    fields = parse(text.decode("utf-8-sig").strip())
  except json_file.RepeatedKey as error:
    raise RowError(where, "repeated key", str(error)) from None
  except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
    # Python's parser answers deep nesting with the last two.
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    raise RowError(where, f"not {kind}", reason) from None
  except TypeError as error:  # {[]: 1}
    raise RowError(where, f"not {kind}", str(error)) from None
  if not isinstance(fields, dict):
    raise RowError(where, f"not {kind}", f"found a {type(fields).__name__}")
  for key, kind in _KEYS.items():
    if key not in fields:
      raise RowError(
        where,
        "missing key",
        f"wanted {key!r}, found {shown(list(fields))}",
      )
    value = fields[key]
    if not isinstance(value, kind) or isinstance(value, bool):
      raise RowError(
        where, "wrong type", f"{key!r} is a {type(value).__name__}"
      )
  return fields


def _read_entity(
  where: str, key: str, entity: dict[str, Any], words: list[str]
) -> tuple[markers.Span, str]:
  """Returns the span and the name of an entity, after checking both."""
  for wanted in ("name", "pos"):
    if wanted not in entity:
      raise RowError(
        where,
        "missing key",
        f"wanted {wanted!r} in {key!r}, found {shown(list(entity))}",
      )
  name, pos = entity["name"], entity["pos"]
  integers = isinstance(pos, (list, tuple)) and all(type(p) is int for p in pos)
  if not integers or len(pos) != 2 or not isinstance(name, str):
    raise RowError(
      where,
      "wrong type",
      f"wanted a name and a pos of two integers in {key!r}, found"
      f" {shown(entity)}",
    )
  begin, end = pos
  if not 0 <= begin < end <= len(words):
    raise RowError(
      where,
      "bad span",
      f"{key!r} has pos [{shown(begin)}, {shown(end)}), empty or outside the"
      f" {len(words)} words",
    )
  # MNRE-1 splits "#Bears" into two words and keeps the name whole.
  if "".join(name.split()) != "".join("".join(words[begin:end]).split()):
    raise RowError(
      where,
      "name differs from span",
      f"{key!r} is named {name[:80]!r}, its words are"
      f" {' '.join(words[begin:end])[:80]!r}",
    )
  return (begin, end), name


def _picture_name(where: str, img_id: str | int) -> str:
  """Adds the ".jpg" that MNRE-1 leaves out, as in 64738 for "64738.jpg"."""
  if isinstance(img_id, int) and not 0 <= img_id < _MAX_NUMBER:
    raise RowError(
      where, "wrong type", f"wanted 'img_id' below 2^63, found {shown(img_id)}"
    )
  name = str(img_id)
  return name if name.lower().endswith(_PICTURE_SUFFIXES) else f"{name}.jpg"
