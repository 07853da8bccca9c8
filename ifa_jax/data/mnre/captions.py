"""Captions of pictures: a picture in words, from any image-to-text model.

    {"a.jpg": "two players on a field", "b.png": "a red car"}

or, as published for MNRE, a line per picture in the notation of the text files
(`data.mnre.notation`):

    {'img_id': 'a.jpg', 'text': 'two players on a field'}

Other keys of such a line are ignored. A caption belongs to a picture, whatever
rows show it, so it cannot depend on the relation of a row. A row may bring the
caption of its picture.
"""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from ifa_jax.data.mnre import notation
from ifa_jax.data.mnre import row as rows
from ifa_jax.data.mnre.row import Row, RowError
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

# Of a line.
_KEYS = {"img_id", "text"}


class Captions:
  """The captions in some files, by the file names of pictures."""

  def __init__(self, paths: Sequence[str]):
    """Reads files in either form.

    Raises:
      ValueError: for a malformed file; names the picture or the line.
    """
    self.paths = paths
    # Published files for several splits caption a placeholder in each of them,
    # differently; only a picture that a row shows needs a single caption.
    self._given: dict[str, dict[str, str]] = {}
    # Picture -> the caption that its first row got, and where this row is.
    self._found: dict[str, tuple[str, str]] = {}
    for path in paths:
      for picture, caption in _read(path):
        self._given.setdefault(picture, {}).setdefault(caption.strip(), path)

  @property
  def pictures(self) -> list[str]:
    """File names of the pictures, in the order of the files."""
    return [*self._given]

  def find(self, row: Row) -> str:
    """Returns the caption of a row's picture, of the row or a file, or "".

    Raises:
      RowError: if files, the row or an earlier one differ in the caption.
    """
    try:
      listed = self.of_picture(row.img_id)
    except ValueError as error:
      raise RowError(row.where, "two captions", str(error)) from None
    found = row.caption or listed or ""
    if listed is not None:
      (path,) = self.given(row.img_id).values()
      _check_same(row, (listed, path), found)
    # Otherwise a caption could depend on a row's relation.
    _check_same(
      row, self._found.setdefault(row.img_id, (found, row.where)), found
    )
    return found

  def given(self, name: str) -> dict[str, str]:
    """Returns each caption of a picture with the first file that has it."""
    return self._given.get(name, {})

  def of_picture(self, name: str) -> str | None:
    """Returns the caption of a picture; None if no file lists it.

    Raises:
      ValueError: if the files have different ones.
    """
    given = self.given(name)
    if len(given) > 1:
      raise ValueError(
        f"expected one caption of {name}, got {shown([*given])} in"
        f" {', '.join(dict.fromkeys(given.values()))}"
      )
    return next(iter(given), None)


def _check_same(row: Row, other: tuple[str, str], found: str) -> None:
  """Raises RowError unless a row's caption is the other, given with its place.

  A row without a caption has "".
  """
  caption, where = other
  if found != caption:
    raise RowError(
      row.where,
      "two captions",
      f"expected the caption of {row.img_id} in {where}, {shown(caption)}, got"
      f" {shown(found)}",
    )


def _read(path: str) -> Iterator[tuple[str, str]]:
  """Yields the pictures of a file with their captions."""
  with open(path, "rb") as file:
    by_line = _is_by_line(file)
    listed = (
      _lines(file, path) if by_line else _pairs(json_file.load(path), path)
    )
    for where, picture, caption in listed:
      if not rows.is_text(picture) or not picture.strip():
        raise ValueError(
          f"{where}: expected the file name of a picture, got {shown(picture)}"
        )
      if not rows.is_text(caption):
        raise ValueError(
          f"{where}: expected a caption of {shown(picture)}, got"
          f" {shown(caption)}"
        )
      yield picture, caption


def _is_by_line(file: BinaryIO) -> bool:
  """Returns whether the first line with content is a picture with its text."""
  parse = notation.of_file(file)
  first = next((line for line in file if line.strip()), b"")
  file.seek(0)
  try:
    found = parse(first.decode("utf-8-sig").strip())
  except notation.ERRORS:
    return False
  return isinstance(found, dict) and found.keys() >= _KEYS


def _lines(file: BinaryIO, path: str) -> Iterator[tuple[str, Any, Any]]:
  parse = notation.of_file(file)
  for number, line in enumerate(file, start=1):
    if not line.strip():
      continue
    where = f"{path}:{number}"
    try:
      found = parse(line.decode("utf-8-sig").strip())
    except notation.ERRORS as error:
      raise ValueError(
        f"{where}: {' '.join(str(error).split())[:120]}"
      ) from None
    if not isinstance(found, dict) or not found.keys() >= _KEYS:
      raise ValueError(
        f"{where}: expected an object of img_id and text, got {shown(found)}"
      )
    yield where, found["img_id"], found["text"]


def _pairs(listed: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
  if not isinstance(listed, dict):
    raise ValueError(
      f"{path}: expected an object of picture names to captions, or a line"
      f" {{'img_id': ..., 'text': ...}} per picture, got {shown(listed)}"
    )
  for picture, caption in listed.items():
    yield path, picture, caption
