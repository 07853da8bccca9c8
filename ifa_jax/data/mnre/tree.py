"""The published MNRE text, read line by line.

A tree holds `txt/ours_{train,val,test}.txt` (MNRE-1: without the folder), one
Python dict literal or JSON object per line, and `ours_rel2id.json` (MNRE-1:
none).
"""

import itertools
import os
from collections.abc import Callable, Iterator

from ifa_jax.data import relation_names, schema
from ifa_jax.data.mnre import notation, text_file
from ifa_jax.data.mnre import row as rows
from ifa_jax.data.mnre.row import Row, RowError
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown


def raise_error(error: RowError) -> None:
  """Raises it: the default handling of a bad row."""
  raise error


def text_path(raw_dir: str, split: str) -> str:
  """Returns the path of a split's text file, in `txt/` or next to it.

  Raises:
    ValueError: if there is neither.
  """
  name = rows.file_name(split)
  for path in (os.path.join(raw_dir, "txt", name), os.path.join(raw_dir, name)):
    if os.path.isfile(path):
      return path
  raise ValueError(f"{raw_dir}: expected txt/{name} or {name}, got neither")


def count_lines(path: str) -> int:
  """Returns the number of a text file's last line with content."""
  with open(path, "rb") as file:
    lines = iter(lambda: file.readline(notation.MAX_BYTES + 1), b"")
    filled = (i for i, line in enumerate(lines, start=1) if line.strip())
    return max(filled, default=0)


def relations_path(raw_dir: str) -> str | None:
  """Returns the path of `ours_rel2id.json`, or None without one."""
  path = os.path.join(raw_dir, "ours_rel2id.json")
  return path if os.path.isfile(path) else None


def read_relations(raw_dir: str) -> list[str]:
  """Returns the names of the relations by id.

  Without an `ours_rel2id.json`, as in MNRE-1: `none`, then every other name in
  the text files, sorted.

  Raises:
    ValueError: if the ids are not 0, 1, 2 ..., the name of id 0 is not None, or
      a relation has two spellings.
  """
  path = relations_path(raw_dir)
  relations = _sorted_by_text(raw_dir) if path is None else read_ids(path)
  relation_names.check(relations, path or raw_dir)
  if not relations or not relation_names.is_none(relations[0]):
    raise ValueError(
      f"{path or raw_dir}: expected the relation None with id 0, got"
      f" {relations[:1] or 'no relation'}"
    )
  return relations


def read_ids(path: str) -> list[str]:
  """Returns the names of a file of relations by id.

  Raises:
    ValueError: unless it is an object of names to the ids 0, 1, 2 ...
  """
  ids = json_file.load(path)
  if not isinstance(ids, dict) or any(type(i) is not int for i in ids.values()):
    raise ValueError(f"{path}: expected one object of names to ids")
  if sorted(ids.values()) != list(range(len(ids))):
    raise ValueError(
      f"{path}: expected the ids 0 to {len(ids) - 1}, got"
      f" {shown(sorted(ids.values()))}"
    )
  for name in ids:
    rows.check_relation(path, name)
  return sorted(ids, key=ids.__getitem__)


def read_rows(
  raw_dir: str,
  split: str,
  relations: list[str] | None,
  limit: int | None = None,
  on_error: Callable[[RowError], None] = raise_error,
) -> Iterator[Row]:
  """Yields the rows of a split in file order; holds one line in memory.

  Args:
    raw_dir: a tree as published.
    split: train, val or test.
    relations: the allowed names, None for any.
    limit: lines to read, None for all.
    on_error: handles a bad line; if it returns, the line is skipped.

  Raises:
    ValueError: if the file is missing or empty.
    RowError: for a bad line, unless `on_error` handles it.
  """
  path = text_path(raw_dir, split)
  with open(path, "rb") as file:
    parse = notation.of_file(file)
  found = text_file.read(
    path,
    lambda text, line, where: text_file.read_line(
      text, split, line, where, relations, parse
    ),
  )
  is_empty = True
  for row in itertools.islice(found, limit):
    is_empty = False
    if isinstance(row, Row):
      yield row
    else:
      on_error(row)
  if is_empty:
    raise ValueError(
      f"{os.path.basename(path)}: expected a row per line, got an empty file"
    )


def _sorted_by_text(raw_dir: str) -> list[str]:
  # Bad lines are reported when the rows are read.
  ignore = lambda error: None  # noqa: E731
  names = {
    row.relation
    for split in schema.SPLITS
    for row in read_rows(raw_dir, split, None, None, ignore)
  }
  is_none = relation_names.is_none
  return sorted(names, key=lambda name: (not is_none(name), name))
