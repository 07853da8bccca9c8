"""The pictures of a tree, and the names of entities to look for in each."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from PIL import Image

from ifa_jax.data import schema
from ifa_jax.data.mnre import crops, tree
from ifa_jax.data.mnre.row import RowError


class Wanted(NamedTuple):
  """A picture to search.

  Attributes:
    name: its file name.
    path: of the file.
    names: of heads and tails of all its rows, in their order, each once.
    num_bytes: size of the file; reveals a changed file of the same name.
  """

  name: str
  path: str
  names: tuple[str, ...]
  num_bytes: int


def read_tree(
  raw_dir: str, limit: int | None, on_error: Callable[[RowError], None]
) -> tuple[list[Wanted], list[str]]:
  """Returns the pictures of all splits, and the names of those without a file.

  Both are in the order of the rows. Of a row, only its picture and its names
  are read.

  Args:
    raw_dir: a tree as published.
    limit: rows to read of each split, None for all.
    on_error: called for an invalid row; if it returns, the row is left out.

  Raises:
    ValueError: if there is no such tree.
  """
  if not os.path.isdir(raw_dir):
    raise ValueError(f"--raw_dir={raw_dir}: there is no such folder")
  pictures = crops.Pictures(raw_dir)
  paths: dict[str, str | None] = {}
  names: dict[str, dict[str, None]] = {}
  for split in schema.SPLITS:
    for row in tree.read_rows(raw_dir, split, None, limit, on_error):
      if row.img_id not in paths:
        try:
          paths[row.img_id] = pictures.find(row)
        except RowError as error:
          on_error(error)
          continue
      found = names.setdefault(row.img_id, {})
      found |= dict.fromkeys((row.head_name, row.tail_name))
  wanted = [
    Wanted(name, path, tuple(names[name]), os.path.getsize(path))
    for name, path in paths.items()
    if path is not None
  ]
  return wanted, [name for name, path in paths.items() if path is None]


def batches(wanted: Sequence[Wanted], size: int) -> Iterator[list[Wanted]]:
  """Yields up to `size` pictures of equal width and height at a time.

  The order depends only on the pictures, so that the batches left after a kill
  are those of an uninterrupted run.
  """
  by_pixels: dict[tuple[int, int], list[Wanted]] = {}
  for picture in sorted(wanted):
    by_pixels.setdefault(_num_pixels(picture.path), []).append(picture)
  for _, alike in sorted(by_pixels.items()):
    for begin in range(0, len(alike), size):
      yield alike[begin : begin + size]


def _num_pixels(path: str) -> tuple[int, int]:
  """Returns the header's width and height, (0, 0) without a header."""
  try:
    with Image.open(path) as picture:
      return picture.size
  except Exception:  # Reported when the picture is decoded.
    return 0, 0
