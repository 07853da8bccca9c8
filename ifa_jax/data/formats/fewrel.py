"""FewRel's JSON files: relation -> list of rows (github.com/thunlp/FewRel).

    {"P17": [{"tokens": ["Rome", "is", "in", "Italy"],
              "h": ["rome", "Q220", [[0]]], "t": ["italy", "Q38", [[3]]]}]}

A head or tail is a name, an id, and the word indices of each of its mentions,
of which the first is read. The relations of FewRel's own files are disjoint, as
few-shot learning needs; to train on all of them, the rows of files are divided
at random. Rows of the same text stay together.
"""

import functools
import itertools
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ifa_jax.data import schema
from ifa_jax.data.formats.reader import Reader
from ifa_jax.data.mnre import row as rows
from ifa_jax.data.mnre.row import Row, RowError
from ifa_jax.data.text.markers import Span
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

_SEED = 0
_KEYS = ("tokens", "h", "t")


class Fewrel(Reader):
  """Files of FewRel, one or more of each split, or divided into splits."""

  name = "fewrel"

  def __init__(
    self,
    raw_dir: str,
    files: Mapping[str, Sequence[str]],
    shares: Sequence[int] = (),
  ):
    """Checks which files are asked for; reads none.

    Args:
      raw_dir: the folder of the files.
      files: split -> names of its files in the folder.
      shares: percent of the rows of train's files for train, val and test;
        empty: each split has its own files.

    Raises:
      ValueError: for a split without a file, a missing file, one that is named
        twice, or shares that do not add up to 100.
    """
    _check_flags(files, shares)
    names = [name for split in schema.SPLITS for name in files[split]]
    paths = [os.path.join(raw_dir, name) for name in names]
    for path in paths:
      if not os.path.isfile(path):
        raise ValueError(f"{path}: expected a file of FewRel, got none")
    _check_once(raw_dir, files)
    super().__init__(raw_dir, paths, "images")
    self._shares = shares
    # "./a.json" and an absolute path are the file "a.json".
    self._names = {
      split: [
        os.path.relpath(os.path.join(raw_dir, name), raw_dir)
        for name in files[split]
      ]
      for split in schema.SPLITS
    }

  def describe(self) -> dict[str, Any]:
    """Returns the files of each split, or how their rows are divided."""
    divided = {"split": [*self._shares], "seed": _SEED} if self._shares else {}
    files = {f"{x}_files": names for x, names in self._names.items()}
    return super().describe() | files | divided

  def read(self, split: str) -> Iterator[Row | RowError]:
    """Yields the rows of a split in the order of the files."""
    names = self._names["train" if self._shares else split]
    kept = self._divided[split] if self._shares else None
    number = 0
    for name in names:
      for relation, place, fields in self._listed[name]:
        number += 1
        if kept is not None and number not in kept:
          continue
        try:
          yield _row(fields, relation, split, number, place)
        except RowError as error:
          yield error

  @functools.cached_property
  def _listed(self) -> dict[str, list[tuple[str, str, Any]]]:
    """Name of a file -> relation, place and fields of each row."""
    return {
      os.path.relpath(path, self.raw_dir): _load(path) for path in self.files
    }

  @functools.cached_property
  def _divided(self) -> dict[str, set[int]]:
    """Split -> the numbers of its rows, from 1."""
    rows = [row for x in self._names["train"] for row in self._listed[x]]
    return divide([_text_key(fields) for _, _, fields in rows], self._shares)


def divide(texts: Sequence[str], shares: Sequence[int]) -> dict[str, set[int]]:
  """Divides rows at random, the same on every machine.

  Args:
    texts: of each row; rows of one text get the same split.
    shares: percent for train, val and test.

  Returns:
    Split -> the numbers of its rows, from 1.
  """
  generator = random.Random(_SEED)  # noqa: S311
  keys = {text: generator.random() for text in dict.fromkeys(texts)}
  order = sorted(range(len(texts)), key=lambda i: keys[texts[i]])
  ends = []
  for percent in itertools.accumulate(shares):
    end = round(len(order) * percent / 100)
    while 0 < end < len(order) and texts[order[end]] == texts[order[end - 1]]:
      end += 1
    ends.append(end)
  begins = [0, *ends]
  return {
    split: {i + 1 for i in order[begin:end]}
    for split, begin, end in zip(schema.SPLITS, begins, ends, strict=False)
  }


def _check_flags(
  files: Mapping[str, Sequence[str]], shares: Sequence[int]
) -> None:
  """Raises ValueError unless every split gets rows."""
  given = [f"--{split}_files" for split in schema.SPLITS if files[split]]
  needed = [f"--{split}_files" for split in schema.SPLITS]
  if shares:
    needed = needed[:1]
    if len(shares) != 3 or min(shares) < 1 or sum(shares) != 100:
      raise ValueError(
        "--split: expected percents of train, val and test that add up to 100,"
        f" got {','.join(map(str, shares))}"
      )
  if given != needed:
    with_split = " with --split" if shares else " (or the first and --split)"
    raise ValueError(
      f"--format=fewrel: expected {', '.join(needed)}{with_split}, got"
      f" {', '.join(given) or 'none'}"
    )


def _check_once(raw_dir: str, files: Mapping[str, Sequence[str]]) -> None:
  """Raises ValueError for a file that is named twice, in whatever spelling."""
  flags: dict[str, str] = {}
  for split in schema.SPLITS:
    for name in files[split]:
      path = os.path.realpath(os.path.join(raw_dir, name))
      flag = f"--{split}_files"
      if first := flags.get(path):
        again = "twice" if first == flag else f"which {first} names as well"
        raise ValueError(
          f"{flag}: expected each file once, got {name}, {again}"
        )
      flags[path] = flag


def _load(path: str) -> list[tuple[str, str, Any]]:
  """Returns relation, place and fields of the rows of a file."""
  found, name = json_file.load(path), os.path.basename(path)
  if not isinstance(found, dict) or not all(
    isinstance(rows, list) for rows in found.values()
  ):
    raise ValueError(
      f"{path}: expected an object of relations to lists of rows, got"
      f" {shown(found)}"
    )
  for relation in found:
    rows.check_relation(path, relation)
  return [
    (relation, f"{name}: {relation!r}, row {number}", fields)
    for relation, rows in found.items()
    for number, fields in enumerate(rows, start=1)
  ]


def _text_key(fields: Any) -> str:
  """Returns the text of a row, well formed or not."""
  return str(fields.get("tokens")) if isinstance(fields, dict) else str(fields)


def _row(
  fields: Any, relation: str, split: str, number: int, place: str
) -> Row:
  if not isinstance(fields, dict) or not all(key in fields for key in _KEYS):
    raise RowError(
      place,
      "missing key",
      f"expected an object of {', '.join(_KEYS)}, got {shown(fields)}",
    )
  words = fields["tokens"]
  rows.check_words(place, words)
  head, tail = (_entity(place, key, fields[key], words) for key in ("h", "t"))
  names = (" ".join(words[slice(*span)]) for span in (head, tail))
  return Row(
    split=split,
    line=number,
    words=tuple(words),
    head=head,
    tail=tail,
    head_name=next(names),
    tail_name=next(names),
    img_id="",
    relation=relation,
    place=place,
  )


def _entity(place: str, key: str, entity: Any, words: Sequence[str]) -> Span:
  """Returns the span of the first mention."""
  try:
    name, _, ((first, *others), *_) = entity
    spelled = "".join(name.split())
  except (TypeError, ValueError, AttributeError):
    raise RowError(
      place,
      "wrong type",
      f"expected a name, an id and lists of word indices in {key!r}, got"
      f" {shown(entity)}",
    ) from None
  indices = [first, *others]
  if not all(type(x) is int for x in indices) or indices != [
    *range(first, first + len(indices))
  ]:
    raise RowError(
      place,
      "bad span",
      f"expected consecutive word indices in {key!r}, got {shown(indices)}",
    )
  if not 0 <= first <= indices[-1] < len(words):
    raise RowError(
      place,
      "bad span",
      f"expected indices of the {len(words)} words, from 0, in {key!r}, got"
      f" {shown(indices)}",
    )
  # Names are in lower case.
  there = words[first : indices[-1] + 1]
  if spelled.casefold() != "".join("".join(there).split()).casefold():
    raise RowError(
      place,
      "name differs from span",
      f"expected {key!r} to be named {' '.join(there)[:80]!r}, as its words"
      f" {shown(indices)}, got {shown(name)}",
    )
  return first, indices[-1] + 1
