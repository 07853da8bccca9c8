"""The files of MNRE, see `data.mnre.tree`."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from ifa_jax.data import schema
from ifa_jax.data.formats.reader import Reader
from ifa_jax.data.mnre import tree
from ifa_jax.data.mnre.row import Row, RowError


class Mnre(Reader):
  """A tree as published; relations keep their names."""

  name = "mnre"
  protocols = schema.PROTOCOLS

  def __init__(self, raw_dir: str):
    """Finds the text files.

    Raises:
      ValueError: if one is missing.
    """
    relations = tree.relations_path(raw_dir)
    paths = {split: tree.text_path(raw_dir, split) for split in schema.SPLITS}
    files = [*paths.values(), *([relations] if relations else [])]
    super().__init__(raw_dir, files, "img_org")
    self.paths = paths

  @functools.cached_property
  def relations(self) -> list[str]:
    """As `tree.read_relations`."""
    return tree.read_relations(self.raw_dir)

  def rows(
    self,
    split: str,
    limit: int | None = None,
    on_error: Callable[[RowError], None] = tree.raise_error,
  ) -> Iterator[Row]:
    """As `tree.read_rows`."""
    return tree.read_rows(self.raw_dir, split, self.relations, limit, on_error)

  def posts(
    self,
    split: str,
    limit: int | None = None,
    on_error: Callable[[RowError], None] = tree.raise_error,
  ) -> Iterator[Row]:
    """As `tree.read_rows`, with any relation."""
    return tree.read_rows(self.raw_dir, split, None, limit, on_error)

  def read(self, split: str) -> Iterator[Row | RowError]:
    """Yields the rows of a split; the first bad one is an error."""
    return self.rows(split)

  def describe(self) -> dict[str, Any]:
    """Returns nothing: metadata without a format is of MNRE."""
    return {}
