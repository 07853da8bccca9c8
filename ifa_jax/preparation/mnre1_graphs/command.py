r"""Reads the graphs published with MNRE-1 into scenes.

    python -m data_prep.mnre1_graphs --graphs=mnre1 --out=scenes

The folder of the graphs also holds the texts:

    ours_train.txt                   the rows, see `data.mnre.tree`
    graph_of_image_train.json        {"a.jpg": {"rel": [[0, 5], [1, 5]]}}
    combined_graph_edges_train.jsonl {"index": 0, "edges": [[1, 0], [4, 3]]}

An image has the edges between its objects, which are known by nothing else: the
ten of the highest scores, in their order. A row has the (governor, dependent)
edges of its words, then the edges of its image with the number of words added.
`ifa_jax.data.scenes.store` describes what is written.

Exit status: 0 done, 1 failed with one line on standard error, 2 wrong usage.
"""

import collections
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags

from ifa_jax.cli import tables
from ifa_jax.data import schema
from ifa_jax.data.mnre import tree
from ifa_jax.data.mnre.row import Row
from ifa_jax.data.scenes import store
from ifa_jax.data.scenes.store import Scene
from ifa_jax.files import json_file, whole
from ifa_jax.files.shown import shown
from ifa_jax.preparation.mnre1_graphs import words
from ifa_jax.preparation.mnre1_graphs.words import Sentence

NUM_OBJECTS = 10
# Words of a text and more; scenes keep their places as 32 bits.
_MOST = 1 << 31

_MANIFEST = {
  "tool": "data_prep.mnre1_graphs",
  "model": "as published with MNRE-1",
  "revision": None,
  "thresholds": None,
  "features": None,
  "relations": "detector",
  "parser": "mnre1",
}

# What is counted, in the order of the table.
_COUNTED = (
  "rows",
  "rows of several sentences",
  "rows with other words parsed",
  "parsed words dropped",
  "words not parsed",
  "words of unknown place",
  "images",
  "images without an edge",
)


def convert(
  graphs: str | os.PathLike, out: str | os.PathLike
) -> dict[str, dict[str, int]]:
  """Writes the scenes and heads of all three splits.

  Args:
    graphs: the folder of the published files.
    out: a new or empty folder; it appears whole or not at all.

  Returns:
    split -> what was counted; the manifests hold it too.

  Raises:
    ValueError: for files that are absent, of another form, or that contradict
      each other, naming file and line; or if `out` holds something.
  """
  counts = {}
  with whole.folder(out) as partial:
    for split in schema.SPLITS:
      pictures = read_scenes(graphs, split)
      sentences = read_sentences(graphs, split, pictures)
      counts[split] = _count(pictures, sentences.values())
      heads = {row_id: found.heads for row_id, found in sentences.items()}
      manifest = {**_MANIFEST, "counts": counts[split]}
      store.write_split(partial, split, pictures, heads, manifest)
  return counts


def read_rows(graphs: str | os.PathLike, split: str) -> list[Row]:
  """Returns the rows of a split's text file."""
  return list(tree.read_rows(os.fspath(graphs), split, relations=None))


def read_scenes(graphs: str | os.PathLike, split: str) -> dict[str, Scene]:
  """Returns a scene for each image: objects without boxes, and their edges.

  An image's objects are those up to the last that has an edge; of others
  nothing is told.

  Raises:
    ValueError: for a file of another form; names the image.
  """
  name = f"graph_of_image_{split}.json"
  listed = json_file.parse(_read(graphs, name), name)
  if not isinstance(listed, dict):
    raise ValueError(
      f"{name}: wanted an object of images, found a {type(listed).__name__}"
    )
  return {
    img_id: _scene(entry, f"{name}: image {img_id!r}")
    for img_id, entry in listed.items()
  }


def _scene(entry: Any, where: str) -> Scene:
  """Returns the scene of one image."""
  edges = _edges(entry, "rel", where)
  num = 1 + max((max(edge) for edge in edges), default=-1)
  if num > NUM_OBJECTS:
    raise ValueError(
      f"{where}: wanted the objects 0 to {NUM_OBJECTS - 1}, found {num - 1}"
    )
  return Scene(
    size=(0, 0),
    boxes=None,
    scores=np.zeros(num, np.float32),
    edges=np.array(edges, np.int32).reshape(-1, 2),
  )


def read_sentences(
  graphs: str | os.PathLike, split: str, pictures: Mapping[str, Scene]
) -> dict[str, Sentence]:
  """Returns the sentence of each row by the row's id.

  Args:
    graphs: the folder.
    split: train, val or test.
    pictures: of `read_scenes`.

  Raises:
    ValueError: for a line of another form; names it.
  """
  name = f"combined_graph_edges_{split}.jsonl"
  lines = _read(graphs, name).splitlines()
  rows = read_rows(graphs, split)
  if len(lines) != len(rows):
    raise ValueError(
      f"{name}: wanted {len(rows)} lines, as many as the text has, found"
      f" {len(lines)}"
    )
  sentences = {}
  for index, (row, line) in enumerate(zip(rows, lines, strict=True)):
    where = f"{name}:{index + 1}"
    entry = json_file.parse(line, where)
    edges = _edges(entry, "edges", where)
    if entry.get("index") != index:
      raise ValueError(
        f"{where}: wanted index {index}, found {shown(entry.get('index'))}"
      )
    if row.img_id not in pictures:
      raise ValueError(f"{where}: no image {row.img_id!r} among the graphs")
    objects = pictures[row.img_id].edges.tolist()
    sentences[row.id] = words.read(edges, objects, len(row.words), where)
  return sentences


def _count(
  pictures: Mapping[str, Scene], sentences: Iterable[Sentence]
) -> dict[str, int]:
  """Returns what a split's manifest tells of it."""
  counts = collections.Counter()
  for sentence in sentences:
    counts.update(sentence.counts)
  counts["images"] = len(pictures)
  counts["images without an edge"] = sum(
    not scene.num_objects for scene in pictures.values()
  )
  return {name: counts[name] for name in _COUNTED}


def _edges(entry: Any, key: str, where: str) -> list[list[int]]:
  """Returns the pairs of whole numbers in an entry."""
  edges: Any = entry.get(key) if isinstance(entry, dict) else None
  are_pairs = isinstance(edges, list) and all(
    isinstance(edge, list)
    and len(edge) == 2
    and all(type(end) is int and 0 <= end < _MOST for end in edge)
    for edge in edges
  )
  if not are_pairs:
    raise ValueError(
      f"{where}: wanted pairs of numbers from 0 as {key!r}, found"
      f" {shown(entry)}"
    )
  return edges


def _read(graphs: str | os.PathLike, name: str) -> str:
  """Returns the text of a file of the folder."""
  try:
    with open(os.path.join(graphs, name), encoding="utf-8") as file:
      return file.read()
  except FileNotFoundError:
    raise ValueError(f"{graphs}: wanted {name}, found no such file") from None
  except UnicodeDecodeError as error:
    raise ValueError(f"{name}: not UTF-8: {error}") from None


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  counts = convert(flags.FLAGS.graphs, flags.FLAGS.out)
  rows = [
    [name, *(str(split[name]) for split in counts.values())]
    for name in _COUNTED
  ]
  tables.print_table(tables.make_table("Graphs of MNRE-1", ("", *counts), rows))
  # Not through rich, which would break a long path into lines.
  print(flags.FLAGS.out)


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  for name, meaning in (
    ("graphs", "Folder of MNRE-1's texts and graphs."),
    ("out", "Folder to write, new or empty."),
  ):
    flags.DEFINE_string(name, None, meaning, required=True)
