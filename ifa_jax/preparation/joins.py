"""What files and folders have by picture, against the pictures of the rows.

A name that is written otherwise in both drops what it should join, and nothing
fails; so preparation counts.
"""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence

from ifa_jax.data.images.boxes import Box, name_key
from ifa_jax.data.mnre.row import Row

_log = logging.getLogger("ifa_jax")


class Join:
  """Finds what a file lists and no row has."""

  def __init__(self, path: str, kind: str, listed: Mapping[tuple, str]):
    """Takes what is listed.

    Args:
      path: of the file, for messages.
      kind: "pictures" or "phrases".
      listed: what rows are looked up by -> how it is listed.
    """
    self._path, self._kind = path, kind
    self._total = len(listed)
    self._left = dict(listed)

  @classmethod
  def of_pictures(cls, path: str, names: Iterable[str]) -> "Join":
    """Joins by the pictures' file names."""
    return cls(path, "pictures", {(name,): name for name in names})

  @classmethod
  def of_phrases(cls, path: str, boxes: Mapping[str, Sequence[Box]]) -> "Join":
    """Joins by the names of heads and tails in each picture."""
    listed = {
      (name, name_key(box.phrase)): f"{box.phrase} in {name}"
      for name, found in boxes.items()
      for box in found
      if box.phrase is not None
    }
    return cls(path, "phrases", listed)

  def see(self, row: Row) -> None:
    """Takes note of a row, be it a bad one."""
    names = map(name_key, (row.head_name, row.tail_name))
    for key in [(row.img_id,), *((row.img_id, name) for name in names)]:
      self._left.pop(key, None)

  def tell(self, of_all: bool) -> None:
    """Logs a line about what belongs to no row.

    Args:
      of_all: whether all rows were seen, and not the first ones.

    Raises:
      ValueError: if nothing belongs to a row, and all were seen.
    """
    if not self._total and self._kind == "phrases":
      _log.warning(
        "%s: no box has a phrase, so no row has grounded crops", self._path
      )
    if not self._left:
      return
    first = next(iter(self._left.values()))
    if of_all and len(self._left) == self._total:
      raise ValueError(
        f"{self._path}: expected {self._kind} of the tree's rows, got"
        f" {self._total} of which none belongs to a row, first {first!r}"
      )
    _log.warning(
      "%s: %d of %d %s belong to no row%s, first %r",
      *(self._path, len(self._left), self._total, self._kind),
      *("" if of_all else " that was read", first),
    )


def tell_pictures(raw_dir: str, has_file: Mapping[str, bool]) -> None:
  """Logs how many pictures were found; it is a warning if most were not.

  Args:
    raw_dir: the tree.
    has_file: picture's file name -> whether it has a file.
  """
  found = sum(has_file.values())
  most_missing = found * 2 < len(has_file)
  first = next((name for name, there in has_file.items() if not there), "")
  _log.log(
    logging.WARNING if most_missing else logging.INFO,
    "%s: %d of %d pictures found%s",
    *(os.path.join(raw_dir, "img_org"), found, len(has_file)),
    f"; most are missing, first {first!r}" if most_missing else "",
  )
