"""The format of prepared records, and finding prepared datasets.

`preparation` writes this format and `pipeline` reads it. A dataset's folder has
the records, their metadata, the tokenizer, and for each split the lengths of
its texts, one number per line: `text_lengths-train.txt`. From these, a process
that reads some rows of a batch knows the lengths of all its texts.
"""

import glob
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

# Increases when a record, its metadata or another file changes meaning.
FORMAT_VERSION = 2

PROTOCOLS = ("released", "clean", "none")
SPLITS = ("train", "val", "test")
# The picture fields of a record.
PICTURES = ("image", "grounded", "detected")

_PREPARE = (
  "python -m data_prep.mnre --raw_dir=DATA --data_dir=OUT"
  " --protocol=released|clean|none"
)


class Prepared(NamedTuple):
  """A prepared dataset on disk.

  Attributes:
    folder: its directory, for `tfds.builder_from_directory`.
    metadata: format_version, protocol, tokenizer, sizes, relations, sources
      and counts, as `data_prep.mnre` recorded them.
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
    """The protocol, which every score names."""
    return self.metadata["protocol"]

  @property
  def has_captions(self) -> bool:
    """Whether any row has a caption."""
    return "captions" in self.metadata

  def has_any(self, kind: str) -> bool:
    """Returns whether any row has a picture of a kind of `PICTURES`."""
    name = "pictures" if kind == "image" else kind
    grey = self.metadata["missing_pixels"] == "grey"
    counted = [name, f"missing_{name}"] if grey else [name]
    counts = self.metadata["counts"].values()
    return any(split[key] for split in counts for key in counted)


class Sizes(NamedTuple):
  """The contents of a split's shards.

  Attributes:
    shards: number of records of each shard.
    num_bytes: size of all records, without TFRecord's framing.
  """

  shards: tuple[int, ...]
  num_bytes: int


def crop_sizes(patch_size: int) -> dict[str, int]:
  """Returns the side of each kind of crop: 4 and 2 patches, in pixels."""
  return {"grounded": 4 * patch_size, "detected": 2 * patch_size}


def features(
  image_size: int,
  patch_size: int,
  relations: Sequence[str],
  has_captions: bool = False,
):
  """Returns the `tfds.features.FeaturesDict` of a record; sizes in pixels."""
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
  # As `tokenizer.Caption`. Only datasets with captions have these fields.
  captions = {
    "caption": tfds.features.Sequence(tfds.features.Text()),
    "caption_ids": tfds.features.Sequence(np.int32),
    "caption_word_ids": tfds.features.Sequence(np.int32),
  }
  sizes = crop_sizes(patch_size)
  return tfds.features.FeaturesDict(
    {
      # "test/12": the split, and the line of its text file, from 1; or an id
      # that the file gives the row.
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
      # Zero or one.
      "image": squares(image_size),
      # At most num_crops each, best first.
      "grounded": squares(sizes["grounded"]),
      "detected": squares(sizes["detected"]),
      # (width, height) in pixels, (0, 0) without a picture.
      "picture_size": integers(2),
      # [x0, y0, x1, y1] in the picture's pixels, of the crops that were cut
      # from it; empty for crops from files and crops without pixels.
      "grounded_boxes": boxes,
      "detected_boxes": boxes,
      # Crops in the source, before num_crops: the leak audit reads these.
      "num_grounded": np.int32,
      "num_detected": np.int32,
      **(captions if has_captions else {}),
    }
  )


def text_lengths_file(folder: str, split: str) -> str:
  """Returns the path of the text lengths of a split."""
  return os.path.join(folder, f"text_lengths-{split}.txt")


def read_text_lengths(folder: str, split: str, num_rows: int) -> np.ndarray:
  """Returns the number of tokens of each row, int32[n].

  Raises:
    ValueError: if the file is missing or has another number of rows.
  """
  path = text_lengths_file(folder, split)
  try:
    with open(path, encoding="utf-8") as file:
      lengths = [int(line) for line in file]
  except (OSError, ValueError):
    lengths = []
  if len(lengths) != num_rows:
    raise ValueError(
      f"{path}: expected the text lengths of {num_rows} rows, got"
      f" {len(lengths)}; prepare the dataset again"
    )
  return np.array(lengths, np.int32)


def read_metadata(
  data_dir: str | os.PathLike,
  protocol: str | None = None,
  prepare_command: Callable[[], str] = lambda: _PREPARE,
) -> Prepared:
  """Finds the prepared dataset in a folder; does not load TensorFlow.

  Args:
    data_dir: the `--data_dir` of `data_prep.mnre`, or a folder inside it.
    protocol: the protocol to choose if the folder has several.
    prepare_command: returns the command that makes the dataset, for errors.

  Raises:
    ValueError: if there is no such dataset, more than one, or one of another
      format; lists the datasets found.
  """
  found = find_prepared(data_dir)
  if not found:
    raise ValueError(
      f"{data_dir}: expected a prepared dataset, got none; make one:"
      f" {prepare_command()}"
    )
  version = lambda prepared: prepared.metadata["format_version"]  # noqa: E731
  chosen = [x for x in found if protocol in (None, x.protocol)]
  # An older format may be next to the dataset that replaced it.
  readable = [x for x in chosen if version(x) == FORMAT_VERSION]
  chosen = readable or chosen
  if len(chosen) != 1:
    wanted = f"protocol {protocol}" if protocol else "one dataset"
    listed = ", ".join(
      f"{os.path.relpath(x.folder, data_dir)} (protocol {x.protocol})"
      for x in found
    )
    raise ValueError(
      f"{data_dir}: expected {wanted}, got {listed}; set data.protocol"
      f" to one of these, or prepare the dataset: {prepare_command()}"
    )
  if not readable:
    raise ValueError(
      f"{chosen[0].folder}: expected record format {FORMAT_VERSION}, got"
      f" {version(chosen[0])}; prepare the dataset again: {prepare_command()}"
    )
  return chosen[0]


def find_prepared(data_dir: str | os.PathLike) -> list[Prepared]:
  """Returns every complete dataset in a folder, sorted by path.

  Raises:
    ValueError: for a damaged file, naming it.
  """
  pattern = os.path.join(
    glob.escape(os.fspath(data_dir)), "**", "dataset_info.json"
  )
  found = []
  # A killed preparation leaves only hidden folders, which ** does not match.
  for path in sorted(glob.glob(pattern, recursive=True)):
    folder = os.path.dirname(path)
    metadata_path = os.path.join(folder, "metadata.json")
    if not os.path.isfile(metadata_path):
      continue
    metadata = json_file.load(metadata_path)
    if not isinstance(metadata, dict):
      raise ValueError(
        f"{metadata_path}: expected an object, got {shown(metadata)}"
      )
    if "format_version" in metadata and "protocol" in metadata:
      num_rows = {name: sum(x.shards) for name, x in read_sizes(folder).items()}
      found.append(Prepared(folder, metadata, num_rows))
  return found


def info_file(folder: str) -> str:
  """Returns the path of TFDS's description of a dataset."""
  return os.path.join(folder, "dataset_info.json")


def read_sizes(folder: str) -> dict[str, Sizes]:
  """Returns the sizes of each split according to `dataset_info.json`.

  Raises:
    ValueError: if the file is damaged, naming it.
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
      f"{path}: expected the splits of a dataset, got {shown(info)}; prepare"
      " the dataset again"
    ) from None
