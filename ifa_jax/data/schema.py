"""What a prepared record holds, and where a prepared dataset lies.

The one description of a record: `data_prep` writes it, `pipeline` reads it.
Beside the records and their metadata lie the tokenizer and, for each split, the
lengths of its texts, a number a line: `text_lengths-train.txt`. So whoever
reads a part of a batch's rows knows how long all of its texts are.
"""

import glob
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

# Goes up when a record, its metadata or a file beside them changes meaning.
FORMAT_VERSION = 2

PROTOCOLS = ("released", "clean", "none")
SPLITS = ("train", "val", "test")
# The kinds of pictures that a record has.
PICTURES = ("image", "grounded", "detected")

_PREPARE = (
  "python -m data_prep.mnre --raw_dir=DATA --data_dir=OUT"
  " --protocol=released|clean|none"
)


class Prepared(NamedTuple):
  """A prepared dataset on disk.

  Attributes:
    folder: its directory, for `tfds.builder_from_directory`.
    metadata: what `data_prep.mnre` recorded: format_version, protocol,
      tokenizer, sizes, relations, sources, counts.
    num_rows: rows of each split.
  """

  folder: str
  metadata: dict[str, Any]
  num_rows: dict[str, int]

  @property
  def relations(self) -> list[str]:
    """Relation names by id."""
    return self.metadata["relations"]

  @property
  def protocol(self) -> str:
    """The protocol, without which no score is written."""
    return self.metadata["protocol"]

  def has_any(self, kind: str) -> bool:
    """Tells whether any row has an "image", a "grounded" or "detected" crop."""
    name = "pictures" if kind == "image" else kind
    grey = self.metadata["missing_pixels"] == "grey"
    counted = [name, f"missing_{name}"] if grey else [name]
    counts = self.metadata["counts"].values()
    return any(split[key] for split in counts for key in counted)


class Sizes(NamedTuple):
  """How much the shards of a split hold.

  Attributes:
    shards: records of each shard.
    num_bytes: of all records together, without what TFRecord adds.
  """

  shards: tuple[int, ...]
  num_bytes: int

  @property
  def num_rows(self) -> int:
    """Records of all shards."""
    return sum(self.shards)


class CropSizes(NamedTuple):
  """Sides of the two kinds of crops, in pixels."""

  grounded: int
  detected: int


def crop_sizes(patch_size: int) -> CropSizes:
  """Returns 4 x 4 patches for grounded crops and 2 x 2 for detected ones."""
  return CropSizes(grounded=4 * patch_size, detected=2 * patch_size)


def features(image_size: int, patch_size: int, relations: Sequence[str]):
  """Returns the `tfds.features.FeaturesDict` of a record.

  Args:
    image_size: side of the whole picture's square in pixels.
    patch_size: side of a patch in pixels; crops are 4 and 2 patches wide.
    relations: class names in the order of their ids.
  """
  import tensorflow_datasets as tfds

  def squares(size):
    return tfds.features.Sequence(
      tfds.features.Image(shape=(size, size, 3), encoding_format="png")
    )

  def integers(num):
    return tfds.features.Tensor(shape=(num,), dtype=np.int32)

  boxes = tfds.features.Sequence(
    tfds.features.Tensor(shape=(4,), dtype=np.float32)
  )
  sizes = crop_sizes(patch_size)
  return tfds.features.FeaturesDict(
    {
      # "test/12": the split and the line of its text file, from 1.
      "id": tfds.features.Text(),
      "img_id": tfds.features.Text(),
      "words": tfds.features.Sequence(tfds.features.Text()),
      # (begin, end) word offsets, the end exclusive.
      "head_span": integers(2),
      "tail_span": integers(2),
      "relation": tfds.features.ClassLabel(names=list(relations)),
      # As `tokenizer.Encoded`, without padding.
      "input_ids": tfds.features.Sequence(np.int32),
      "word_ids": tfds.features.Sequence(np.int32),
      "head_start": np.int32,
      "tail_start": np.int32,
      # None or one.
      "image": squares(image_size),
      # At most num_crops each, best first.
      "grounded": squares(sizes.grounded),
      "detected": squares(sizes.detected),
      # (width, height) of the picture in pixels, (0, 0) if it is absent.
      "picture_size": integers(2),
      # [x0, y0, x1, y1] in the picture's pixels, one for each crop that was cut
      # from it; empty where crops come from files or have no pixels.
      "grounded_boxes": boxes,
      "detected_boxes": boxes,
      # Crops that the source lists, before num_crops: the leak audit's number.
      "num_grounded": np.int32,
      "num_detected": np.int32,
    }
  )


def text_lengths_file(folder: str, split: str) -> str:
  """Returns the path of the lengths of a split's texts."""
  return os.path.join(folder, f"text_lengths-{split}.txt")


def read_text_lengths(folder: str, split: str, num_rows: int) -> np.ndarray:
  """Returns the tokens of each row's text, int32[n].

  Raises:
    ValueError: if the file is not there, or of other rows.
  """
  path = text_lengths_file(folder, split)
  try:
    with open(path, encoding="utf-8") as file:
      lengths = [int(line) for line in file]
  except (OSError, ValueError):
    lengths = []
  if len(lengths) != num_rows:
    raise ValueError(
      f"{path}: want the text lengths of {num_rows} rows, found {len(lengths)};"
      " prepare the dataset again"
    )
  return np.array(lengths, np.int32)


def read_metadata(
  data_dir: str | os.PathLike,
  protocol: str | None = None,
  prepare_command: Callable[[], str] = lambda: _PREPARE,
) -> Prepared:
  """Finds the prepared dataset under a folder; needs no TensorFlow.

  Args:
    data_dir: the `--data_dir` of `data_prep.mnre`, or a folder inside it.
    protocol: which one, where datasets of several protocols lie there.
    prepare_command: returns the command that makes the dataset, for errors.

  Raises:
    ValueError: if there is none, none of this protocol, more than one to choose
      from, or one of another format. Lists what is there.
  """
  found = find_prepared(data_dir)
  if not found:
    raise ValueError(
      f"{data_dir}: no prepared dataset; make one: {prepare_command()}"
    )
  chosen = [
    prepared
    for prepared in found
    if protocol in (None, prepared.metadata["protocol"])
  ]
  # Beside a dataset of this format may lie the one that it replaced.
  readable = [x for x in chosen if _version(x) == FORMAT_VERSION]
  chosen = readable or chosen
  if len(chosen) != 1:
    wanted = f"protocol {protocol}" if protocol else "one dataset"
    there = ", ".join(
      f"{os.path.relpath(prepared.folder, data_dir)}"
      f" (protocol {prepared.metadata['protocol']})"
      for prepared in found
    )
    raise ValueError(
      f"{data_dir}: wanted {wanted}, found {there}; name a protocol that is"
      f" there, or prepare it: {prepare_command()}"
    )
  if not readable:
    raise ValueError(
      f"{chosen[0].folder}: record format {_version(chosen[0])}, this version"
      f" reads {FORMAT_VERSION}; prepare it again: {prepare_command()}"
    )
  return chosen[0]


def _version(prepared: Prepared) -> int:
  return prepared.metadata["format_version"]


def find_prepared(data_dir: str | os.PathLike) -> list[Prepared]:
  """Returns every complete dataset under a folder, sorted by path.

  `data_prep` writes into a hidden folder and renames it when all is there, so
  those of a killed run are passed over.
  """
  pattern = os.path.join(
    glob.escape(os.fspath(data_dir)), "**", "dataset_info.json"
  )
  found = []
  for path in sorted(glob.glob(pattern, recursive=True)):
    folder = os.path.dirname(path)
    metadata_path = os.path.join(folder, "metadata.json")
    if not os.path.isfile(metadata_path):
      continue
    metadata = json_file.load(metadata_path)
    if not isinstance(metadata, dict):
      raise ValueError(
        f"{metadata_path}: want an object, found {shown(metadata)}"
      )
    if "format_version" in metadata and "protocol" in metadata:
      num_rows = {name: n.num_rows for name, n in read_sizes(folder).items()}
      found.append(Prepared(folder, metadata, num_rows))
  return found


def info_file(folder: str) -> str:
  """Returns the path of what TFDS records of a dataset."""
  return os.path.join(folder, "dataset_info.json")


def read_sizes(folder: str) -> dict[str, Sizes]:
  """Returns what `dataset_info.json` tells of the shards of each split.

  Raises:
    ValueError: if it is damaged, naming it.
  """
  path = info_file(folder)
  info = json_file.load(path)
  try:
    # TFDS writes int64 as strings.
    return {
      split["name"]: Sizes(
        tuple(map(int, split.get("shardLengths", []))),
        int(split.get("numBytes", 0)),
      )
      for split in info["splits"]
    }
  except (TypeError, KeyError, ValueError, AttributeError):
    raise ValueError(
      f"{path}: want the splits of a dataset, found {shown(info)}; prepare the"
      " dataset again"
    ) from None
