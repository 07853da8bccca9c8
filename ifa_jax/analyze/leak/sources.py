"""Counts of crops, pictures, and others, for each row of a dataset.

They are read from a tree as published or from a prepared dataset, without
looking at pixels.
"""

import collections
import functools
import glob
import io
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ifa_jax.analyze.leak import queries
from ifa_jax.data import schema
from ifa_jax.data.images import decode
from ifa_jax.data.pipeline.tfrecord import Shards
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown
from ifa_jax.statistics import counts_only, metrics

KINDS = ("grounded", "detected")
# Ends the names of counts that all rows of a post have, see `command`.
OF_POSTS = "of the post"


class Row(NamedTuple):
  """One row of a split."""

  id: str  # "test/12": the split, and the line of its text file from 1.
  relation: str
  img_id: str  # "" if it names no picture.
  has_relation: bool
  counts: dict[str, float]  # By name.
  repeats: dict[str, int]  # Kind of crop -> copies of other crops of the row.
  asked: tuple[str, ...] | None = None  # Types in its query, if it has one.


class Source(NamedTuple):
  """A dataset."""

  description: str  # "raw tree: protocol released"
  protocol: str
  splits: Mapping[str, Sequence[Row]]  # Rows in order.
  # The same rows where objects may be entities, else none.
  with_objects: Mapping[str, Sequence[counts_only.Row]] = {}


def read(data_dir: str, protocol: str | None = None) -> Source:
  """Reads a tree as published, or the prepared dataset of a protocol.

  Raises:
    ValueError: for another kind of folder, another protocol, and malformed
      files; names the file.
  """
  names = [f"ours_{split}.txt" for split in schema.SPLITS]
  texts = [os.path.join(f, name) for f in ("txt", "") for name in names]
  if any(os.path.isfile(os.path.join(data_dir, text)) for text in texts):
    return _read_raw(data_dir, protocol)
  if not schema.find_prepared(data_dir):
    raise ValueError(
      f"{data_dir}: expected a raw tree (txt/{names[0]}) or a prepared dataset,"
      " got neither"
    )
  return _read_prepared(schema.read_metadata(data_dir, protocol))


def add_counts(source: Source, path: str) -> list[str]:
  """Adds the counts of a JSON file to the rows; returns their names.

      {"caption length": {"a.jpg": 12, "b.jpg": 7}, "entities": {"test/1": 2}}

  Args:
    source: its rows get the counts.
    path: name -> row or img_id -> number. A row is "test/12", the split and the
      line of its text file, from 1; it precedes the row's img_id.

  Raises:
    ValueError: for a file of another form, a row without a number, and a name
      that a count of the dataset has; names the file.
  """
  supplied = json_file.load(path)
  sections = supplied.values() if isinstance(supplied, dict) else [None]
  if not all(isinstance(numbers, dict) for numbers in sections):
    raise ValueError(
      f"{path}: expected {{name: {{row or img_id: number}}}}, got"
      f" {shown(supplied)}"
    )
  rows = [*itertools.chain(*source.splits.values())]
  for name, numbers in supplied.items():
    if rows and name in rows[0].counts:
      raise ValueError(
        f"{path}: expected names other than {', '.join(rows[0].counts)}, got"
        f" {name!r}"
      )
    for row in rows:
      number = numbers.get(row.id, numbers.get(row.img_id))
      if not json_file.is_finite(number):
        raise ValueError(
          f"{path}: {shown(name)}: expected a number for row {row.id} (img_id"
          f" {row.img_id!r}), got {shown(number)}"
        )
      row.counts[name] = number
  return [*supplied]


def _read_raw(raw_dir: str, protocol: str | None) -> Source:
  """Reads the text and the lists of a tree; opens no picture."""
  from ifa_jax.data.mnre import crops, tree

  lists = os.path.join(glob.escape(raw_dir), "txt", "mre_*_dict.pth")
  found = "released" if glob.glob(lists) else "none"
  if protocol not in (None, found):
    raise ValueError(
      f"{raw_dir}: expected protocol {protocol}, got a raw tree, which has"
      f" protocol {found}"
    )
  relations = tree.read_relations(raw_dir)
  listed, pictures = crops.Crops(raw_dir, found), crops.Pictures(raw_dir)

  def make_row(row, listed_queries):
    counts, repeats = {}, {}
    for kind, crop_list in (
      ("grounded", listed.grounded(row)),
      ("detected", listed.detected(row)),
    ):
      repeats[kind] = _num_repeats(crop.path for crop in crop_list)
      counts[f"{kind} crops"] = len(crop_list)
      counts[f"distinct {kind} crops"] = len(crop_list) - repeats[kind]
    counts["picture"] = int(pictures.find(row) is not None)
    asked = None
    if listed_queries is not None:
      if row.line - 1 not in listed_queries:
        raise ValueError(
          f"{row.where}: expected its query in phrase_text_*.json of"
          f" {row.split}, got no entry {row.line - 1}"
        )
      asked = queries.query_types(listed_queries[row.line - 1], row.tail_name)
      counts["type words in the query"] = len(asked)
    related = row.relation != relations[metrics.NONE]
    return Row(
      row.id, row.relation, row.img_id, related, counts, repeats, asked
    )

  splits = {}
  for split, listed_queries in _read_queries(raw_dir).items():
    rows = tree.read_rows(raw_dir, split, relations)
    splits[split] = [make_row(row, listed_queries) for row in rows]
  return Source(f"raw tree: protocol {found}", found, splits)


def _read_queries(raw_dir: str) -> dict[str, dict[int, str] | None]:
  """Returns the queries of each split; raises ValueError if only some have."""
  found = {x: queries.read_queries(raw_dir, x) for x in schema.SPLITS}
  lacking = [split for split, asked in found.items() if asked is None]
  if 0 < len(lacking) < len(found):
    raise ValueError(
      f"{raw_dir}: expected txt/phrase_text_*.json of all splits or of none,"
      f" got none of {', '.join(lacking)}"
    )
  return found


def _read_prepared(prepared: schema.Prepared) -> Source:
  """Reads the records of a dataset; pictures stay encoded."""
  from ifa_jax.runtime.tensorflow import tf

  folder, metadata = prepared.folder, prepared.metadata
  object_word = metadata.get("format", {}).get("object_word")
  splits, with_objects = {}, {}
  for split in schema.SPLITS:
    pattern = os.path.join(glob.escape(folder), f"*-{split}.tfrecord-*")
    paths = sorted(glob.glob(pattern))
    if not paths:
      raise ValueError(
        f"{folder}: expected shards of the split {split!r}, got none"
      )
    shards = Shards(paths)
    rows = splits[split] = []
    counted = []
    for i in range(len(shards)):
      fields = tf.train.Example.FromString(shards[i]).features.feature
      rows.append(_prepared_row(fields, metadata))
      if object_word:
        counted.append(_with_objects(fields, rows[-1], object_word))
    if object_word:
      with_objects[split] = counted
      for row, post in zip(rows, counts_only.posts(counted), strict=True):
        row.counts.update(
          {f"{name} {OF_POSTS}": x for name, x in post._asdict().items()}
        )
  protocol = metadata["protocol"]
  description = (
    f"prepared dataset: protocol {protocol}, missing pixels"
    f" {metadata['missing_pixels']}"
  )
  return Source(description, protocol, splits, with_objects)


def _with_objects(
  fields: Mapping, row: Row, object_word: str
) -> counts_only.Row:
  """Returns a row with its entities; the objects are the detected crops."""
  words = [word.decode() for word in fields["words"].bytes_list.value]
  spans = [
    tuple(fields[f"{role}_span"].int64_list.value) for role in ("head", "tail")
  ]
  entities = counts_only.in_text(words, spans, object_word)
  objects = int(row.counts["detected crops"])
  return counts_only.Row(row.img_id, entities, objects, row.relation)


def _prepared_row(fields: Mapping, metadata: Mapping[str, Any]) -> Row:
  (relation,) = fields["relation"].int64_list.value
  has_grey = metadata["missing_pixels"] == "grey"
  counts, repeats = {}, {}
  for kind in KINDS:
    squares = list(fields[kind].bytes_list.value)
    edges = fields[f"{kind}_boxes"].float_list.value
    boxes = [tuple(edges[i : i + 4]) for i in range(0, len(edges), 4)]
    repeats[kind] = max(_same_squares(squares, has_grey), _num_repeats(boxes))
    (counts[f"{kind} crops"],) = fields[f"num_{kind}"].int64_list.value
    counts[f"{kind} squares"] = len(squares)
    counts[f"distinct {kind} squares"] = len(squares) - repeats[kind]
  counts["picture"] = int(any(fields["picture_size"].int64_list.value))
  row_id, img_id = (
    fields[name].bytes_list.value[0].decode() for name in ("id", "img_id")
  )
  name = metadata["relations"][int(relation)]
  return Row(row_id, name, img_id, relation != metrics.NONE, counts, repeats)


def _num_repeats(values: Iterable) -> int:
  """Returns how many values equal an earlier one."""
  return sum(number - 1 for number in collections.Counter(values).values())


def _same_squares(squares: Iterable[bytes], has_grey: bool) -> int:
  """Returns how many squares repeat another, without those for lost files."""
  numbers = collections.Counter(squares)
  return sum(
    number - 1
    for png, number in numbers.items()
    if number > 1 and not (has_grey and _is_grey(png))
  )


@functools.lru_cache(maxsize=64)
def _is_grey(png: bytes) -> bool:
  """Returns whether a square replaces missing pixels."""
  with Image.open(io.BytesIO(png)) as image:
    square = np.asarray(image)
  return np.array_equal(square, decode.grey(len(square)))
