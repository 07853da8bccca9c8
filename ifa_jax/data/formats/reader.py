"""The base of readers of datasets: relations, their order, and bad rows."""

import abc
import dataclasses
import functools
import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ifa_jax.data import relation_names, schema
from ifa_jax.data.images.boxes import Box
from ifa_jax.data.mnre import crops, tree
from ifa_jax.data.mnre.row import Row, RowError
from ifa_jax.files.shown import shown

# Names of the negative class in lower case; datasets call it "None".
NEGATIVE = ("none", "na", "other", "no_relation")
NONE = "None"

_log = logging.getLogger("ifa_jax")


class Reader(abc.ABC):
  """The rows of a dataset.

  Attributes:
    name: of the format.
    protocols: that a dataset of the format can have.
    files: paths of all files that rows depend on.
    paths: split -> its file, for a format with a file for each.
    pictures: finds the pictures of rows.
    boxes: picture's file name -> objects that the rows list, best first.
  """

  name: str
  protocols: tuple[str, ...] = ("clean", "none")

  def __init__(self, raw_dir: str, files: Iterable[str], folder: str):
    """Stores paths; opens nothing.

    Args:
      raw_dir: the folder of the dataset.
      files: paths.
      folder: in it, of the pictures.
    """
    self.raw_dir = raw_dir
    self.files = [*files]
    self.paths: Mapping[str, str] = {}
    self.pictures = crops.Pictures(raw_dir, folder)
    self.boxes: dict[str, list[Box]] = {}

  @functools.cached_property
  def relations(self) -> list[str]:
    """Names by id: None, then the others in the order of their first rows.

    Raises:
      ValueError: if a relation has two spellings.
    """
    return [*dict.fromkeys([NONE, *self._spelled.values()])]

  @property
  def negative(self) -> str | None:
    """The name of the negative class in the files, None without one."""
    named = (name for name, new in self._spelled.items() if new == NONE)
    return next(named, None)

  def rows(
    self,
    split: str,
    limit: int | None = None,
    on_error: Callable[[RowError], None] = tree.raise_error,
  ) -> Iterator[Row]:
    """Yields the rows of a split in their order.

    Args:
      split: train, val or test.
      limit: rows to read, None for all.
      on_error: handles a bad row; if it returns, the row is skipped.

    Raises:
      ValueError: for a malformed file, or one without a row.
      RowError: for a bad row, unless `on_error` handles it.
    """
    found = None
    for found in itertools.islice(self.read(split), limit):
      if isinstance(found, Row):
        spelled = self._spelled[found.relation]
        yield dataclasses.replace(found, relation=spelled)
      else:
        on_error(found)
    if found is None:
      raise ValueError(f"{self.raw_dir}: expected rows of {split}, got none")

  def posts(
    self,
    split: str,
    limit: int | None = None,
    on_error: Callable[[RowError], None] = tree.raise_error,
  ) -> Iterator[Row]:
    """As `rows`, for results that do not depend on relations."""
    return self.rows(split, limit, on_error)

  def describe(self) -> dict[str, Any]:
    """Returns the format's part of a dataset's metadata."""
    renamed = self.negative not in (None, NONE)
    return {"name": self.name} | (
      {"negative": self.negative} if renamed else {}
    )

  def keep_boxes(self, name: str, found: list[Box], where: str) -> None:
    """Keeps the boxes of a picture, the same ones in all its rows.

    Otherwise their number could depend on a row's relation.

    Raises:
      RowError: if an earlier row has others.
    """
    if self.boxes.setdefault(name, found) != found:
      raise RowError(
        where,
        "bad boxes",
        f"expected the boxes of {name!r} that an earlier row has, got"
        f" {shown([box.edges for box in found])}",
      )

  @abc.abstractmethod
  def read(self, split: str) -> Iterator[Row | RowError]:
    """Yields the rows of a split, each id once, and an error for a bad row."""

  @functools.cached_property
  def _spelled(self) -> dict[str, str]:
    """Name in the files -> name in the dataset."""
    by_split = {
      # Bad rows are reported when the rows are read.
      split: dict.fromkeys(
        row.relation for row in self.read(split) if isinstance(row, Row)
      )
      for split in schema.SPLITS
    }
    names = [*dict.fromkeys(itertools.chain(*by_split.values()))]
    negative = [name for name in names if name.lower() in NEGATIVE]
    if len(negative) > 1:
      raise ValueError(
        f"{self.raw_dir}: expected one name of the negative class, got"
        f" {' and '.join(map(repr, negative))}"
      )
    spelled = {name: NONE if name in negative else name for name in names}
    relation_names.check([NONE, *spelled.values()], self.raw_dir)
    return spelled


def file_of(raw_dir: str, *names: str) -> str:
  """Returns the path of the only file of these names.

  Raises:
    ValueError: if there is none, or more than one.
  """
  paths = [os.path.join(raw_dir, name) for name in names]
  found = [path for path in paths if os.path.isfile(path)]
  if len(found) != 1:
    raise ValueError(
      f"{raw_dir}: expected {' or '.join(names)}, got"
      f" {'both' if found else 'no such file'}"
    )
  return found[0]


def warn_untrained(by_split: Mapping[str, Mapping[str, None]]) -> None:
  """Warns of relations that only val or test has, except the negative class."""
  for split in ("val", "test"):
    named = [x for x in by_split[split] if x.lower() not in NEGATIVE]
    new = [x for x in named if x not in by_split["train"]]
    if new:
      _log.warning(
        "%s: %d of %d relations have no row in train, first %r (misspelt?)",
        *(split, len(new), len(by_split[split]), new[0]),
      )
