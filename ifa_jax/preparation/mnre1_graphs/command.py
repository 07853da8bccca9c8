r"""Converts the graphs published with MNRE-1 to scenes.

    python -m data_prep.mnre1_graphs --graphs=mnre1 --out=scenes

The folder of the graphs also has the texts:

    ours_train.txt                   the rows, see `data.mnre.tree`
    graph_of_image_train.json        {"a.jpg": {"rel": [[0, 5], [1, 5]]}}
    combined_graph_edges_train.jsonl {"index": 0, "edges": [[1, 0], [4, 3]]}

An image has only the edges between its objects: the ten of the highest scores,
in their order. A row has the (governor, dependent) edges of its words, then the
edges of its image with the number of words added. `ifa_jax.data.scenes.store`
describes the result.

Exit status: 0 done, 1 failed with one line on standard error, 2 wrong usage.
"""

import collections
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags

from ifa_jax.data import schema
from ifa_jax.data.mnre import tree
from ifa_jax.data.scenes import store
from ifa_jax.data.scenes.store import Scene
from ifa_jax.files import json_file, whole
from ifa_jax.files.shown import shown
from ifa_jax.preparation import counts
from ifa_jax.preparation.mnre1_graphs import words
from ifa_jax.preparation.mnre1_graphs.words import Sentence

NUM_OBJECTS = 10
# Scenes store places of words as 32 bits.
_MAX_PLACE = 1 << 31

_MANIFEST = {
  "tool": "data_prep.mnre1_graphs",
  "model": "as published with MNRE-1",
  "revision": None,
  "thresholds": None,
  "features": None,
  "relations": "detector",
  "parser": "mnre1",
}


def convert(
  graphs: str | os.PathLike, out: str | os.PathLike
) -> dict[str, dict[str, int]]:
  """Writes the scenes and heads of all three splits.

  Args:
    graphs: the folder of the published files.
    out: a new or empty folder; it appears complete or not at all.

  Returns:
    Counts by split, which the manifests have too.

  Raises:
    ValueError: for files that are missing, malformed, or inconsistent, naming
      file and line; or if `out` is not empty.
  """
  counted = {}
  with whole.folder(out) as partial:
    for split in schema.SPLITS:
      pictures = read_scenes(graphs, split)
      sentences = read_sentences(graphs, split, pictures)
      total = collections.Counter()
      for sentence in sentences.values():
        total.update(sentence.counts)
      empty = sum(not scene.num_objects for scene in pictures.values())
      counted[split] = {
        **{name: int(total[name]) for name in words.COUNTED},
        "images": len(pictures),
        "images without an edge": empty,
      }
      heads = {row_id: found.heads for row_id, found in sentences.items()}
      manifest = {**_MANIFEST, "counts": counted[split]}
      store.write_split(partial, split, pictures, heads, manifest)
  return counted


def read_scenes(graphs: str | os.PathLike, split: str) -> dict[str, Scene]:
  """Returns a scene for each image: objects without boxes, and their edges.

  An image's objects are those up to the last one with an edge; the file does
  not mention others.

  Raises:
    ValueError: for a malformed file; names the image.
  """
  name = f"graph_of_image_{split}.json"
  listed = json_file.parse(_read(graphs, name), name)
  if not isinstance(listed, dict):
    raise ValueError(
      f"{name}: expected an object of images, got {shown(listed)}"
    )
  scenes = {}
  for img_id, entry in listed.items():
    where = f"{name}: image {img_id!r}"
    edges = np.array(_edges(entry, "rel", where), int).reshape(-1, 2)
    num = int(edges.max(initial=-1)) + 1
    if num > NUM_OBJECTS:
      raise ValueError(
        f"{where}: expected objects 0 to {NUM_OBJECTS - 1}, got {num - 1}"
      )
    scenes[img_id] = Scene(
      size=(0, 0),
      boxes=None,
      scores=np.zeros(num, np.float32),
      edges=edges.astype(np.int32),
    )
  return scenes


def read_sentences(
  graphs: str | os.PathLike, split: str, pictures: Mapping[str, Scene]
) -> dict[str, Sentence]:
  """Returns the sentence of each row by the row's id.

  Args:
    graphs: the folder.
    split: train, val or test.
    pictures: of `read_scenes`.

  Raises:
    ValueError: for a malformed line; names it.
  """
  name = f"combined_graph_edges_{split}.jsonl"
  lines = _read(graphs, name).splitlines()
  rows = [*tree.read_rows(os.fspath(graphs), split, relations=None)]
  if len(lines) != len(rows):
    raise ValueError(
      f"{name}: expected {len(rows)} lines, as many as the text has, got"
      f" {len(lines)}"
    )
  sentences = {}
  for index, (row, line) in enumerate(zip(rows, lines, strict=True)):
    where = f"{name}:{index + 1}"
    entry = json_file.parse(line, where)
    edges = _edges(entry, "edges", where)
    if entry.get("index") != index:
      raise ValueError(
        f"{where}: expected index {index}, got {shown(entry.get('index'))}"
      )
    if row.img_id not in pictures:
      raise ValueError(
        f"{where}: expected image {row.img_id!r} among the graphs, got none"
      )
    objects = pictures[row.img_id].edges.tolist()
    sentences[row.id] = words.read(edges, objects, len(row.words), where)
  return sentences


def _edges(entry: Any, key: str, where: str) -> list[list[int]]:
  """Returns the pairs of numbers from 0 that an entry has under a key."""
  edges: Any = entry.get(key) if isinstance(entry, dict) else None
  are_pairs = isinstance(edges, list) and all(
    isinstance(edge, list)
    and len(edge) == 2
    and all(type(end) is int and 0 <= end < _MAX_PLACE for end in edge)
    for edge in edges
  )
  if not are_pairs:
    raise ValueError(
      f"{where}: expected pairs of numbers from 0 as {key!r}, got"
      f" {shown(entry)}"
    )
  return edges


def _read(graphs: str | os.PathLike, name: str) -> str:
  try:
    with open(os.path.join(graphs, name), encoding="utf-8") as file:
      return file.read()
  except FileNotFoundError:
    raise ValueError(f"{graphs}: expected {name}, got no such file") from None
  except UnicodeDecodeError as error:
    raise ValueError(f"{name}: not UTF-8: {error}") from None


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  for name, meaning in (
    ("graphs", "Folder of MNRE-1's texts and graphs."),
    ("out", "Folder to write, new or empty."),
  ):
    flags.DEFINE_string(name, None, meaning, required=True)


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  counted = convert(flags.FLAGS.graphs, flags.FLAGS.out)
  counts.show("Graphs of MNRE-1", counted, flags.FLAGS.out)
