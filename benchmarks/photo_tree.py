"""A raw MNRE tree whose pictures are all there: generated where they are not.

The text is the published one, or the quickstart's. Every row has grounded and
detected boxes: none of its crops is absent.
"""

import collections
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.photos import Photos
from ifa_jax.cli import progress
from ifa_jax.data import schema
from ifa_jax.data.mnre import crops
from ifa_jax.data.mnre import tree as raw_text
from ifa_jax.preparation.quickstart import command, texts
from ifa_jax.preparation.quickstart import tokenizer as quickstart_tokenizer

# Of MNRE: rows of each split, and pictures.
NUM_ROWS = {"train": 12_247, "val": 1_624, "test": 1_614}
NUM_PICTURES = 9_201
PHOTO_SIZE = (800, 600)

# Of a name, and of a picture without a name; records keep three of each.
_NUM_BOXES = 3
# Shorter side of a box, of the picture's: MNRE's have 217 pixels on average.
_SHARES = (0.15, 0.57)


class Tree(NamedTuple):
  """What `data_prep.mnre` is called with.

  Attributes:
    raw_dir: the tree.
    boxes: the file of boxes.
    tokenizer: folder of the generated texts' tokenizer, "" for published ones.
    num_generated: pictures that were generated.
  """

  raw_dir: str
  boxes: str
  tokenizer: str
  num_generated: int


def share_out(num_rows: int) -> dict[str, int]:
  """Returns rows of each split, as MNRE's share a number of them."""
  total = sum(NUM_ROWS.values())
  small = {k: max(1, num_rows * NUM_ROWS[k] // total) for k in ("val", "test")}
  return {"train": num_rows - sum(small.values()), **small}


def make(
  folder: str,
  source: str | None,
  num_rows: Mapping[str, int],
  num_pictures: int,
) -> Tree:
  """Writes a tree; pictures that an earlier call left in it are kept.

  Args:
    folder: where to.
    source: a tree as published, or None to generate rows too.
    num_rows: rows of each split to generate.
    num_pictures: how many pictures these rows share, over all splits.
  """
  tokenizer = ""
  if source:
    _copy_texts(source, folder)
  else:
    tokenizer = os.path.join(folder, "tokenizer")
    _write_texts(folder, num_rows, num_pictures)
    quickstart_tokenizer.save(tokenizer)
  num_generated = _add_pictures(folder, source)
  boxes = os.path.join(folder, "boxes.json")
  with open(boxes, "w", encoding="utf-8") as file:
    json.dump(_draw_boxes(folder), file)
  return Tree(folder, boxes, tokenizer, num_generated)


def _copy_texts(source: str, folder: str) -> None:
  os.makedirs(os.path.join(folder, "txt"), exist_ok=True)
  for path in raw_text.text_paths(source):
    shutil.copy(path, os.path.join(folder, "txt"))
  relations = raw_text.relations_path(source)
  if relations:
    shutil.copy(relations, folder)


def _write_texts(
  folder: str, num_rows: Mapping[str, int], num_pictures: int
) -> None:
  """Writes rows of the quickstart; neighbours share pictures, as in MNRE."""
  os.makedirs(os.path.join(folder, "txt"), exist_ok=True)
  total, done = sum(num_rows.values()), 0
  for split, count in num_rows.items():
    path = os.path.join(folder, "txt", f"ours_{split}.txt")
    with open(path, "w", encoding="utf-8") as file:
      for row in range(done, done + count):
        picture = f"{split}_{row * num_pictures // total:05d}.jpg"
        file.write(f"{_compose(row, picture)!r}\n")
    done += count
  with open(os.path.join(folder, "ours_rel2id.json"), "w") as file:
    json.dump(command.relation_ids(), file)


def _compose(number: int, picture: str) -> dict[str, Any]:
  kind, emblem = command.CELLS[number % len(command.CELLS)]
  row = texts.compose(kind, np.random.default_rng(number))
  relation = command.RELATIONS[kind][emblem]
  return row | {"img_id": picture, "relation": relation}


def _rows(folder: str) -> Iterator[raw_text.Row]:
  for split in schema.SPLITS:
    yield from raw_text.read_rows(folder, split, None)


def _add_pictures(folder: str, source: str | None) -> int:
  """Links the source's pictures and generates the others; returns how many."""
  photos, there = Photos(PHOTO_SIZE), crops.Pictures(source) if source else None
  rows = {row.img_id: row for row in _rows(folder)}
  num_generated = 0
  for number, row in enumerate(
    progress.bar(rows.values(), "pictures", unit=" pictures")
  ):
    target = os.path.join(folder, "img_org", row.split, row.img_id)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    found = there.find(row) if there else None
    num_generated += found is None
    if os.path.lexists(target):
      continue
    if found:
      shutil.copyfile(found, target)
    else:
      with open(target, "wb") as file:
        file.write(photos.make(number))
  return num_generated


def _draw_boxes(folder: str) -> dict[str, list[dict[str, Any]]]:
  """Returns a boxes file's content: some of each name, some without."""
  names = collections.defaultdict(dict)
  splits = {}
  for row in _rows(folder):
    names[row.img_id] |= dict.fromkeys((None, row.head_name, row.tail_name))
    splits[row.img_id] = row.split
  listed = {}
  for number, (picture, phrases) in enumerate(names.items()):
    path = os.path.join(folder, "img_org", splits[picture], picture)
    with Image.open(path) as opened:
      size = opened.size
    rng = np.random.default_rng(number)
    listed[picture] = [
      {"box": _draw_box(size, rng), "score": round(rng.uniform(), 3)}
      | ({"phrase": phrase} if phrase is not None else {})
      for phrase in phrases
      for _ in range(_NUM_BOXES)
    ]
  return listed


def _draw_box(size: tuple[int, int], rng: np.random.Generator) -> list[float]:
  sides = rng.uniform(*_SHARES, 2) * size
  corner = rng.uniform(size=2) * (np.array(size) - sides)
  return np.concatenate([corner, corner + sides]).round(1).tolist()
