"""One validated row of a dataset: a text, two entities and their relation."""

import dataclasses
from typing import Any

from ifa_jax.data.text import markers
from ifa_jax.files.shown import shown


@dataclasses.dataclass(frozen=True)
class Row:
  """One row of a split. Spans are (begin, end) words, end exclusive.

  Attributes:
    split: train, val or test.
    line: its line in the file, from 1.
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


def check_bare_name(where: str, kind: str, name: Any, hint: str = "") -> None:
  """Raises RowError unless `name` is a file's name without a folder.

  `../../etc/passwd` would read a file outside of the data.
  """
  named = is_text(name) and name != ""
  leaves = named and (name in (".", "..") or any(x in name for x in "/\\\0"))
  if leaves or not named:
    raise RowError(
      where,
      f"{kind} leaves the data folder" if leaves else f"bad {kind}",
      f"expected the bare name of a file, got {shown(name)}"
      + hint * (name == ""),
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


def missing_key(where: str, key: str, fields: dict[str, Any]) -> RowError:
  """Returns the error of fields without `key`."""
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
      raise missing_key(where, f"{wanted!r} in {key!r}", entity)
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
