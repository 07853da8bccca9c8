"""JMERE's JSON files (github.com/YuanLi95/EEGA-for-JMERE).

    [{"token": ["Ann", "joins", "Acme"], "img_id": "a.jpg",
      "label_list": [[{
        "beg_ent": {"name": "Ann", "pos": [0, 1], "tags": "per"},
        "sec_ent": {"name": "Acme", "pos": [2, 3], "tags": "org"},
        "relation": "member_of"}]]}]

`train.json`, `val.json` and `test.json` list texts with all relations between
their entities; each of these is a row. The texts are MNRE's, without the pairs
of entities that have no relation. Pictures are in `img_org/`, as MNRE's.
"""

import os
from collections.abc import Iterator
from typing import Any

from ifa_jax.data import schema
from ifa_jax.data.formats.reader import Reader, file_of
from ifa_jax.data.mnre import row as rows
from ifa_jax.data.mnre.row import Row, RowError
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

_KEYS = {"token": list, "img_id": str, "label_list": list}
_ENTITIES = ("beg_ent", "sec_ent")


class Jmere(Reader):
  """A folder of JMERE's files."""

  name = "jmere"

  def __init__(self, raw_dir: str):
    """Finds the files.

    Raises:
      ValueError: if one is missing.
    """
    paths = {
      split: file_of(raw_dir, f"{split}.json") for split in schema.SPLITS
    }
    super().__init__(raw_dir, paths.values(), "img_org")
    self.paths = paths

  def read(self, split: str) -> Iterator[Row | RowError]:
    """Yields a row for each relation of each text."""
    path = self.paths[split]
    texts = json_file.load(path)
    if not isinstance(texts, list):
      raise ValueError(f"{path}: expected a list of texts, got {shown(texts)}")
    number = 0
    for index, text in enumerate(texts, start=1):
      place = f"{os.path.basename(path)}: text {index}"
      try:
        _check_text(place, text)
      except RowError as error:
        yield error
        continue
      for triple_index, listed in enumerate(text["label_list"], start=1):
        number += 1
        where = f"{place}, relation {triple_index}"
        try:
          yield _row(text, listed, split, number, where)
        except RowError as error:
          yield error


def _check_text(where: str, text: Any) -> None:
  """Raises RowError unless a text has words, a picture and relations."""
  if not isinstance(text, dict) or not all(
    isinstance(text.get(key), kind) for key, kind in _KEYS.items()
  ):
    raise RowError(
      where,
      "wrong type",
      "expected a list as 'token', a file name as 'img_id' and a list as"
      f" 'label_list', got {shown(text)}",
    )
  rows.check_words(where, text["token"])
  rows.check_bare_name(where, "img_id", text["img_id"])


def _row(
  text: dict[str, Any], listed: Any, split: str, number: int, where: str
) -> Row:
  triple = _triple(where, listed)
  (head, head_name), (tail, tail_name) = (
    rows.read_entity(where, key, triple[key], text["token"])
    for key in _ENTITIES
  )
  rows.check_relation(where, triple["relation"])
  return Row(
    split=split,
    line=number,
    words=tuple(text["token"]),
    head=head,
    tail=tail,
    head_name=head_name,
    tail_name=tail_name,
    img_id=text["img_id"],
    relation=triple["relation"],
    place=where,
  )


def _triple(where: str, listed: Any) -> dict[str, Any]:
  """Returns the only triple of a list."""
  triple = listed[0] if isinstance(listed, list) and len(listed) == 1 else None
  if (
    not isinstance(triple, dict)
    or not all(isinstance(triple.get(key), dict) for key in _ENTITIES)
    or not isinstance(triple.get("relation"), str)
  ):
    raise RowError(
      where,
      "wrong type",
      f"expected a list of one object of {', '.join(_ENTITIES)} and relation,"
      f" got {shown(listed)}",
    )
  return triple
