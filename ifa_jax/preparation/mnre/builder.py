"""Writes plans and squares as a TensorFlow Datasets folder of TFRecord shards.

Rows are written as they come. A `GeneratorBasedBuilder` would hold a split in
memory to sort rows that are already in order.
"""

import collections
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.example_serializer import ExampleSerializer

# TensorFlow Datasets loads TensorFlow on its first use, with Keras if it is
# installed; by then it is loaded without.
import ifa_jax.runtime.tensorflow  # noqa: F401
from ifa_jax.cli import progress
from ifa_jax.data import schema
from ifa_jax.data.mnre.row import RowError
from ifa_jax.preparation.mnre import draw
from ifa_jax.preparation.mnre.draw import Drawn
from ifa_jax.preparation.mnre.plan import Plan, Planner

# About 200 MB.
_SHARD_ROWS = 1024
# The splits' lengths are written again after each of so many rows.
_CHUNK_ROWS = 128


class _SortedSerializer(ExampleSerializer):
  """Gives equal records equal bytes.

  Protobuf writes a map, such as the fields of a `tf.train.Example`, in an order
  that differs between processes unless it is told to sort.
  """

  def serialize_example(self, example: Any) -> bytes:
    return self.get_tf_example(example).SerializeToString(deterministic=True)


def write(
  folder: str,
  planner: Planner,
  num_rows: dict[str, int],
  metadata: dict[str, Any],
  pool: Executor | None = None,
) -> None:
  """Writes all splits with their rows in file order, and the tokenizer.

  Args:
    folder: absent or empty; after an error it holds no dataset.
    planner: plans the rows.
    num_rows: expected rows of each split, for the progress bars.
    metadata: the dataset's; counts are added to each split.
    pool: `draw.start_pool`, or None to draw in this process.

  Raises:
    ValueError: for an invalid row, unless rows are skipped, or if every row of
      a split is invalid.
  """
  planner.tokenizer.save(os.path.join(folder, "tokenizer"))
  stored = tfds.core.MetadataDict(metadata)
  info = _info(folder, planner, stored)
  writer = tfds.core.SequentialWriter(info, _SHARD_ROWS)
  features: Any = info.features  # None before they are known.
  writer._serializer = _SortedSerializer(features.get_serialized_info())
  writer.initialize_splits([*schema.SPLITS])
  for split in schema.SPLITS:
    counts = collections.Counter(longest_text=0)
    skipped = collections.Counter()
    rows = _draw_rows(folder, planner, split, pool, skipped)
    bar = progress.bar(rows, f"writing {split}", num_rows[split], unit=" rows")
    records = _records(
      folder,
      split,
      bar,
      counts,
      planner.settings.num_crops,
      "captions" in metadata,
    )
    while chunk := list(itertools.islice(records, _CHUNK_ROWS)):
      writer.add_examples({split: chunk})
    if not counts["rows"]:
      raise ValueError(f"{split}: every row is invalid and was skipped")
    stored["counts"][split] = {**counts, "skipped": dict(skipped)}
    writer.close_splits([split])


def _info(
  folder: str, planner: Planner, metadata: tfds.core.MetadataDict
) -> tfds.core.DatasetInfo:
  settings = planner.settings
  return tfds.core.DatasetInfo(
    builder=tfds.core.DatasetIdentity(
      name="mnre",
      version=tfds.core.Version(f"{schema.FORMAT_VERSION}.0.0"),
      data_dir=folder,
      module_name=__name__,
      config_name=settings.protocol,
      config_description=f"Grounded crops: protocol {settings.protocol}.",
    ),
    description=(
      f"{settings.format.upper()}: relations between two entities of a post."
    ),
    features=schema.features(
      settings.image_size,
      settings.patch_size,
      planner.relations,
      "captions" in metadata,
    ),
    metadata=metadata,
    disable_shuffling=True,
  )


def _draw_rows(
  folder: str,
  planner: Planner,
  split: str,
  pool: Executor | None,
  skipped: collections.Counter,
) -> Iterator[tuple[Plan, Drawn]]:
  """Yields valid rows; counts and lists the others."""
  settings = planner.settings

  def on_error(error: RowError) -> None:
    if settings.on_error != "skip":
      raise error
    skipped[error.reason] += 1
    line = {
      "split": split,
      "where": error.where,
      "reason": error.reason,
      "error": str(error),
    }
    path = os.path.join(folder, "skipped.jsonl")
    with open(path, "a", encoding="utf-8") as file:
      file.write(json.dumps(line) + "\n")

  for plan, drawn in draw.draw_all(
    planner.plans(split, on_error),
    settings.image_size,
    settings.patch_size,
    pool,
    settings.resize,
  ):
    if drawn.error:
      on_error(RowError(plan.row.where, "bad picture", drawn.error))
    else:
      yield plan, drawn


def _records(
  folder: str,
  split: str,
  rows: Iterable[tuple[Plan, Drawn]],
  counts: collections.Counter,
  num_crops: int,
  has_captions: bool,
) -> Iterator[dict[str, Any]]:
  """Yields the records of `schema.features`; writes their text lengths."""
  path = schema.text_lengths_file(folder, split)
  with open(path, "w", encoding="utf-8") as lengths:
    for plan, drawn in rows:
      _count(counts, plan, num_crops)
      lengths.write(f"{len(plan.encoded.input_ids)}\n")
      boxes = {
        kind: [crop.edges for crop in plan.squares[kind] if crop and crop.edges]
        for kind in ("grounded", "detected")
      }
      row, pngs = plan.row, drawn.squares
      caption = _caption_fields(counts, plan) if has_captions else {}
      yield caption | {
        "id": row.id,
        "img_id": row.img_id,
        "words": list(row.words),
        "head_span": row.head,
        "tail_span": row.tail,
        "relation": row.relation,
        **plan.encoded._asdict(),
        # TFDS takes PNGs as files.
        **{kind: list(map(io.BytesIO, pngs[kind])) for kind in pngs},
        "picture_size": drawn.picture_size,
        "grounded_boxes": boxes["grounded"],
        "detected_boxes": boxes["detected"],
        "num_grounded": plan.num_grounded,
        "num_detected": plan.num_detected,
      }


def _caption_fields(counts: collections.Counter, plan: Plan) -> dict[str, Any]:
  """Returns a record's fields of a caption, and counts it."""
  words, input_ids, word_ids = map(list, plan.caption)
  counts["captions"] += bool(words)
  counts["shortened_captions"] += len({*word_ids} - {-1}) < len(words)
  longest = max(counts["longest_caption"], len(input_ids))
  counts["longest_caption"] = longest
  return {
    "caption": words,
    "caption_ids": input_ids,
    "caption_word_ids": word_ids,
  }


def _count(counts: collections.Counter, plan: Plan, num_crops: int) -> None:
  """Adds a row to the counts of its split.

  Shortened texts lost words, for being too long or because a word has no piece.
  Missing crops are listed by the source and have no file; grey ones count.
  """
  length, kept = len(plan.encoded.input_ids), {*plan.encoded.word_ids} - {-1}
  counts["rows"] += 1
  counts["longest_text"] = max(counts["longest_text"], length)
  counts["shortened_texts"] += len(kept) < len(plan.row.words)
  counts["unknown_words"] += plan.num_unknown
  counts["pictures"] += plan.picture is not None
  counts["missing_pictures"] += bool(plan.row.img_id) and not plan.picture
  listed = {"grounded": plan.num_grounded, "detected": plan.num_detected}
  for kind, num_listed in listed.items():
    drawn = sum(crop is not None for crop in plan.squares[kind])
    counts[kind] += drawn
    counts[f"missing_{kind}"] += min(num_listed, num_crops) - drawn
