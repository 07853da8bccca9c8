"""MNRE's rows that have a picture here, as a raw tree and as posts."""

import json
import os
import pathlib
from typing import Any, NamedTuple

import raw_tree

from ifa_jax.data import schema
from ifa_jax.data.mnre import crops, tree

MNRE_DIR = os.environ.get("MNRE_DIR")


class Tree(NamedTuple):
  """A raw tree whose every split is published rows.

  Attributes:
    folder: of it, with `boxes.json` and a `tokenizer/` of letters.
    posts: its test split, pictures as published, with boxes.
  """

  folder: pathlib.Path
  posts: list[dict[str, Any]]


def write_tree(folder: pathlib.Path, most: int) -> Tree:
  """Writes a tree of the first rows that have a picture.

  Of each picture's boxes the first is grounded for the head of a row, and the
  second for its tail.
  """
  relations = tree.read_relations(MNRE_DIR)
  rows = [
    row
    for split in schema.SPLITS
    for row in tree.read_rows(MNRE_DIR, split, relations)
  ]
  found = crops.Pictures(MNRE_DIR)
  paths = {row: path for row in rows if (path := found.find(row))}
  rows = [*paths][:most]
  listed = json.loads(pathlib.Path(MNRE_DIR, "boxes.json").read_text())
  for row in rows:
    names = (row.head_name, row.tail_name)
    for box, name in zip(listed[row.img_id], names, strict=False):
      box["phrase"] = name
  raw_tree.write_tree(
    folder,
    [_line(row) for row in rows],
    {
      f"test/{row.img_id}": pathlib.Path(paths[row]).read_bytes()
      for row in rows
    },
    {"boxes.json": json.dumps(listed).encode()},
    relations,
  )
  raw_tree.write_tokenizer(folder / "tokenizer")
  posts = [
    {
      "text": list(row.words),
      "head_span": row.head,
      "tail_span": row.tail,
      "image": paths[row],
      "boxes": listed[row.img_id],
    }
    for row in rows
  ]
  return Tree(folder, posts)


def _line(row) -> dict[str, Any]:
  """Returns a row as its file has it."""
  words = " ".join(row.words)
  return raw_tree.row(words, row.head, row.tail, row.img_id, row.relation)
