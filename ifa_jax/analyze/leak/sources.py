"""What is known of every row without looking at a pixel.

Read from a tree as published or from a prepared dataset: the relation, how many
crops and pictures there are, and the queries that crops were found by.
"""

import collections
import functools
import glob
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from ifa_jax.analyze.leak import queries as leak_queries
from ifa_jax.data import schema
from ifa_jax.data.images import decode
from ifa_jax.data.pipeline.tfrecord import Shards
from ifa_jax.statistics import metrics

KINDS = ("grounded", "detected")


class Row(NamedTuple):
  """One row.

  Attributes:
    relation: its name.
    img_id: of its picture, "" if it names none.
    has_relation: whether it is not None.
    counts: what is counted -> how many the row has.
    repeats: kind of crop -> how many of the row's are copies of another.
    asked: the types that its query names, None without queries.
  """

  relation: str
  img_id: str
  has_relation: bool
  counts: dict[str, int]
  repeats: dict[str, int]
  asked: tuple[str, ...] | None = None


class Source(NamedTuple):
  """A dataset.

  Attributes:
    description: "raw tree: protocol released".
    protocol: where its grounded crops come from.
    splits: name -> rows in order.
  """

  description: str
  protocol: str
  splits: Mapping[str, Sequence[Row]]


def read(data_dir: str, protocol: str | None = None) -> Source:
  """Reads a tree as published, or a prepared dataset.

  Args:
    data_dir: either.
    protocol: which dataset, where several are prepared there.

  Raises:
    ValueError: if it is neither, or of another protocol, or if something in it
      is wrong; names the file.
  """
  names = [f"ours_{split}.txt" for split in schema.SPLITS]
  texts = [os.path.join(f, name) for f in ("txt", "") for name in names]
  if any(os.path.isfile(os.path.join(data_dir, text)) for text in texts):
    return _read_raw(data_dir, protocol)
  if not schema.find_prepared(data_dir):
    raise ValueError(
      f"{data_dir}: want a raw tree (txt/{names[0]}) or a prepared dataset,"
      " found neither"
    )
  return _read_prepared(schema.read_metadata(data_dir, protocol))


def _read_raw(raw_dir: str, protocol: str | None) -> Source:
  """Reads the text and the lists of a tree; opens no picture."""
  from ifa_jax.data.mnre import crops, tree

  lists = os.path.join(glob.escape(raw_dir), "txt", "mre_*_dict.pth")
  found = "released" if glob.glob(lists) else "none"
  if protocol not in (None, found):
    raise ValueError(
      f"{raw_dir}: wanted protocol {protocol}, found a raw tree, which has"
      f" protocol {found}"
    )
  relations = tree.read_relations(raw_dir)
  listed, folders = crops.Crops(raw_dir, found), crops.Pictures(raw_dir)
  splits = {}
  for split in schema.SPLITS:
    queries = leak_queries.read_queries(raw_dir, split)
    splits[split] = [
      _raw_row(
        row,
        row.relation != relations[metrics.NONE],
        {
          "grounded": [crop.path for crop in listed.grounded(row)],
          "detected": [crop.path for crop in listed.detected(row)],
        },
        folders.find(row) is not None,
        queries,
      )
      for row in tree.read_rows(raw_dir, split, relations)
    ]
  return Source(f"raw tree: protocol {found}", found, splits)


def _raw_row(
  row,
  has_relation: bool,
  paths: Mapping[str, Sequence[str | None]],
  has_picture: bool,
  queries: Mapping[int, str] | None,
) -> Row:
  """Makes a row of a `data.mnre.row.Row` and the files listed for it."""
  repeats = {kind: _num_repeats(paths[kind]) for kind in KINDS}
  counts = {}
  for kind in KINDS:
    counts[f"{kind} crops"] = len(paths[kind])
    counts[f"distinct {kind} crops"] = len(paths[kind]) - repeats[kind]
  counts["picture"] = int(has_picture)
  asked = None
  if queries is not None:
    if row.line - 1 not in queries:
      raise ValueError(
        f"{row.where}: wanted its query in phrase_text_*.json of"
        f" {row.split}, found no entry {row.line - 1}"
      )
    asked = leak_queries.query_types(queries[row.line - 1], row.tail_name)
    counts["type words in the query"] = len(asked)
  return Row(row.relation, row.img_id, has_relation, counts, repeats, asked)


def _read_prepared(prepared: schema.Prepared) -> Source:
  """Reads the records of a dataset; pictures stay encoded."""
  has_grey = prepared.metadata["missing_pixels"] == "grey"
  relations = prepared.metadata["relations"]
  splits = {
    split: [
      _prepared_row(fields, relations, has_grey)
      for fields in _records(prepared.folder, split)
    ]
    for split in schema.SPLITS
  }
  protocol = prepared.metadata["protocol"]
  description = (
    f"prepared dataset: protocol {protocol}, missing pixels"
    f" {prepared.metadata['missing_pixels']}"
  )
  return Source(description, protocol, splits)


def _records(folder: str, split: str) -> Iterator[Mapping]:
  """Yields the features of every record of a split."""
  from ifa_jax.runtime.tensorflow import tf

  pattern = os.path.join(glob.escape(folder), f"*-{split}.tfrecord-*")
  paths = sorted(glob.glob(pattern))
  if not paths:
    raise ValueError(
      f"{folder}: want shards of the split {split!r}, found none"
    )
  shards = Shards(paths)
  for row in range(len(shards)):
    yield tf.train.Example.FromString(shards[row]).features.feature


def _prepared_row(
  fields: Mapping, relations: Sequence[str], has_grey: bool
) -> Row:
  """Makes a row of a record."""
  (relation,) = fields["relation"].int64_list.value
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
  has_relation = relation != metrics.NONE
  (img_id,) = fields["img_id"].bytes_list.value
  name = relations[int(relation)]
  return Row(name, img_id.decode(), has_relation, counts, repeats)


def _num_repeats(values: Iterable) -> int:
  """Returns how many values equal one before them."""
  values = list(values)
  return len(values) - len({*values})


def _same_squares(squares: Sequence[bytes], has_grey: bool) -> int:
  """Returns how many squares repeat another; grey ones stand for many files."""
  numbers = collections.Counter(squares)
  return sum(
    number - 1
    for png, number in numbers.items()
    if number > 1 and not (has_grey and _is_grey(png))
  )


@functools.lru_cache(maxsize=64)
def _is_grey(png: bytes) -> bool:
  """Tells whether a square stands for pixels that are not there."""
  with Image.open(io.BytesIO(png)) as image:
    square = np.asarray(image)
  return np.array_equal(square, decode.grey(len(square)))
