"""The pictures of a tree, and the names of entities to look for in each."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from PIL import Image

from ifa_jax.data import schema
from ifa_jax.data.mnre import crops, tree
from ifa_jax.data.mnre.row import RowError


class Wanted(NamedTuple):
  """A picture to look at.

  Attributes:
    name: its file name.
    path: where it lies.
    names: of heads and tails of all its rows, in their order, each once.
    num_bytes: size of the file; another file of that name tells by it.
  """

  name: str
  path: str
  names: tuple[str, ...]
  num_bytes: int


def read_tree(
  raw_dir: str, limit: int | None, on_error: Callable[[RowError], None]
) -> tuple[list[Wanted], list[str]]:
  """Returns the pictures of all splits, and the names of those without a file.

  Nothing of a row but its picture and its names is looked at. Both lists are in
  the order of the rows.

  Args:
    raw_dir: a tree as published.
    limit: rows to read of each split, None for all.
    on_error: what to do about a bad row; if it returns, the row is left out.

  Raises:
    ValueError: if there is no such tree.
    RowError: for a bad row, unless `on_error` is another.
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
  """Yields up to `size` pictures at a time, of one number of pixels each way.

  The order depends on the pictures alone, so that what is left of them after a
  kill makes the batches that were left.
  """
  by_pixels: dict[tuple[int, int], list[Wanted]] = {}
  for picture in sorted(wanted):
    by_pixels.setdefault(_num_pixels(picture.path), []).append(picture)
  for pixels in sorted(by_pixels):
    alike = by_pixels[pixels]
    for begin in range(0, len(alike), size):
      yield alike[begin : begin + size]


def _num_pixels(path: str) -> tuple[int, int]:
  """Returns width and height as the header has them, (0, 0) without one."""
  try:
    with Image.open(path) as picture:
      return picture.size
  except Exception:  # Whoever opens it to look says what is wrong.
    return 0, 0
