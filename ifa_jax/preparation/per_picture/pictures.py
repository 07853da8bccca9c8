"""The pictures of a tree or of a folder, and the names in each."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image

from ifa_jax.data import schema
from ifa_jax.data.formats import registry
from ifa_jax.data.mnre import tree
from ifa_jax.data.mnre.row import RowError
from ifa_jax.preparation import joins


class Wanted(NamedTuple):
  """A picture to read.

  Attributes:
    name: its file name.
    path: of the file.
    names: of heads and tails of all its rows, in their order, each once; none
      where results do not depend on them.
    num_bytes: size of the file; reveals a changed file of the same name.
  """

  name: str
  path: str
  names: tuple[str, ...]
  num_bytes: int


def read_tree(
  raw_dir: str, limit: int | None, on_error: str, name: str = "mnre"
) -> tuple[list[Wanted], int]:
  """Returns the pictures of all splits, and the number of those without a file.

  They are in the order of the rows. Of a row, only its picture and its names
  are read.

  Args:
    raw_dir: the folder of a dataset.
    limit: rows to read of each split, None for all.
    on_error: "fail" raises for an invalid row, "skip" leaves it out.
    name: of its format.

  Raises:
    ValueError: if there is no such dataset, or no picture has a file.
  """
  reader = registry.open_folder(name, raw_dir)
  report = (lambda error: None) if on_error == "skip" else tree.raise_error
  pictures = reader.pictures
  paths: dict[str, str | None] = {}
  names: dict[str, dict[str, None]] = {}
  for split in schema.SPLITS:
    for row in reader.posts(split, limit, report):
      if not row.img_id:
        continue
      if row.img_id not in paths:
        try:
          paths[row.img_id] = pictures.find(row)
        except RowError as error:
          report(error)
          continue
      found = names.setdefault(row.img_id, {})
      found |= dict.fromkeys((row.head_name, row.tail_name))
  wanted = [
    Wanted(name, path, tuple(names[name]), os.path.getsize(path))
    for name, path in paths.items()
    if path is not None
  ]
  if not wanted:
    raise ValueError(
      f"{raw_dir}: expected pictures of its rows in"
      f" {os.path.basename(pictures.folder)}, got none of {len(paths)}"
    )
  has_file = {name: path is not None for name, path in paths.items()}
  joins.log_pictures(pictures.folder, has_file)
  return wanted, len(paths) - len(wanted)


def read_folder(folder: str) -> list[Wanted]:
  """Returns the files of a folder, sorted, without hidden ones.

  Raises:
    ValueError: if there is no such folder, or no file in it.
  """
  if not os.path.isdir(folder):
    raise ValueError(f"{folder}: there is no such folder")
  paths = {name: os.path.join(folder, name) for name in os.listdir(folder)}
  wanted = [
    Wanted(name, path, (), os.path.getsize(path))
    for name, path in sorted(paths.items())
    if os.path.isfile(path) and not name.startswith(".")
  ]
  if not wanted:
    raise ValueError(f"{folder}: expected pictures, got no file")
  return wanted


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
