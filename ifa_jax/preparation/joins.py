"""Matches listed pictures and phrases against the rows of a tree.

A name that is spelled differently in the two is lost without an error, so
preparation reports the entries that match no row.
"""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence

from ifa_jax.data.images.boxes import Box, name_key
from ifa_jax.data.mnre.row import Row

_log = logging.getLogger("ifa_jax")


class Join:
  """Finds the entries of a file that match no row."""

  def __init__(self, path: str, kind: str, listed: Mapping[tuple, str]):
    """Starts with every entry unmatched.

    Args:
      path: of the file, for messages.
      kind: "pictures" or "phrases".
      listed: key of a row -> the entry as the file spells it.
    """
    self._path, self._kind = path, kind
    self._total = len(listed)
    self._left = dict(listed)
    # An entry without the suffix that a row's picture has.
    self._bare: str | None = None

  @classmethod
  def of_pictures(cls, path: str, names: Iterable[str]) -> "Join":
    """Matches file names of pictures."""
    return cls(path, "pictures", {(name,): name for name in names})

  @classmethod
  def of_phrases(cls, path: str, boxes: Mapping[str, Sequence[Box]]) -> "Join":
    """Matches the names of heads and tails in each picture."""
    listed = {
      (name, name_key(box.phrase)): f"{box.phrase} in {name}"
      for name, found in boxes.items()
      for box in found
      if box.phrase is not None
    }
    return cls(path, "phrases", listed)

  def see(self, row: Row) -> None:
    """Marks the entries that a row, valid or not, matches."""
    self._left.pop((row.img_id,), None)
    stem, _ = os.path.splitext(row.img_id)
    if self._bare is None and self._left.get((stem,)):
      self._bare = f"; the rows call {stem!r} {row.img_id!r}"
    for name in (row.head_name, row.tail_name):
      self._left.pop((row.img_id, name_key(name)), None)

  def report(self, saw_all: bool) -> None:
    """Logs how many entries match no row.

    Args:
      saw_all: whether `see` was called for every row of the tree.

    Raises:
      ValueError: if no entry matches any row of the tree.
    """
    if not self._total and self._kind == "phrases":
      _log.warning(
        "%s: no box has a phrase, so no row has grounded crops", self._path
      )
    if not self._left:
      return
    first = next(iter(self._left.values()))
    if saw_all and len(self._left) == self._total:
      raise ValueError(
        f"{self._path}: expected {self._kind} of the tree's rows, got"
        f" {self._total} that match no row, first {first!r}{self._bare or ''}"
      )
    _log.warning(
      "%s: %d of %d %s match no row%s, first %r%s",
      *(self._path, len(self._left), self._total, self._kind),
      *("" if saw_all else " that was read", first, self._bare or ""),
    )


def log_pictures(folder: str, has_file: Mapping[str, bool]) -> None:
  """Logs how many pictures were found; a warning if most are missing.

  Args:
    folder: of the pictures.
    has_file: picture's file name -> whether it has a file.
  """
  found = sum(has_file.values())
  most_missing = found * 2 < len(has_file)
  first = next((name for name, exists in has_file.items() if not exists), "")
  _log.log(
    logging.WARNING if most_missing else logging.INFO,
    "%s: %d of %d pictures found%s",
    *(folder, found, len(has_file)),
    f"; most are missing, first {first!r}" if most_missing else "",
  )
