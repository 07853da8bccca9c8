"""Plans and squares to a TensorFlow Datasets folder of TFRecord shards.

Rows are written as they come. A `GeneratorBasedBuilder` would hold a split in
memory to sort rows that are in order.
"""

import collections
import io
import itertools
import json
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

import tensorflow_datasets as tfds
import tqdm

# TensorFlow Datasets loads TensorFlow on its first use, with Keras if it is
# installed; by then it is loaded without.
import ifa_jax.runtime.tensorflow  # noqa: F401
from ifa_jax.data import schema
from ifa_jax.data.mnre.row import RowError
from ifa_jax.preparation.mnre import draw
from ifa_jax.preparation.mnre.draw import Drawn
from ifa_jax.preparation.mnre.plan import Plan, Planner
from ifa_jax.preparation.mnre.same_bytes import SortedWriter
from ifa_jax.preparation.mnre.survey import Survey

NAME = "mnre"
SKIPPED_FILE = "skipped.jsonl"
TOKENIZER_FOLDER = "tokenizer"

# About 200 MB.
_SHARD_ROWS = 1024
# The splits' lengths are written anew with each of so many rows.
_CHUNK_ROWS = 128


class Builder:
  """Writes all splits with their rows in file order, and what lies beside."""

  def __init__(
    self,
    folder: str,
    planner: Planner,
    found: Survey,
    metadata: dict[str, Any],
    pool: Executor | None = None,
  ):
    """Writes nothing yet; `write` does.

    Args:
      folder: absent or empty.
      planner: what each row becomes.
      found: the survey, for the progress bars.
      metadata: `survey.metadata`; the counts are added while writing.
      pool: `draw.start_pool`, or None to draw in this process.
    """
    self._folder = folder
    self._planner = planner
    self._found = found
    self._pool = pool
    self._metadata = tfds.core.MetadataDict(metadata)

  def write(self) -> None:
    """Writes the folder; what is there after an error is no dataset.

    Raises:
      ValueError: for a bad row, unless rows are skipped, or if all are bad.
    """
    self._planner.tokenizer.save(os.path.join(self._folder, TOKENIZER_FOLDER))
    writer = SortedWriter(self._info(), _SHARD_ROWS)
    writer.initialize_splits([*schema.SPLITS])
    for split in schema.SPLITS:
      records = self._records(split)
      while chunk := list(itertools.islice(records, _CHUNK_ROWS)):
        writer.add_examples({split: chunk})
      writer.close_splits([split])

  def _info(self) -> tfds.core.DatasetInfo:
    """Describes the records."""
    settings = self._planner.settings
    return tfds.core.DatasetInfo(
      builder=tfds.core.DatasetIdentity(
        name=NAME,
        version=tfds.core.Version(f"{schema.FORMAT_VERSION}.0.0"),
        data_dir=self._folder,
        module_name=__name__,
        config_name=settings.protocol,
        config_description=f"Grounded crops: protocol {settings.protocol}.",
      ),
      description="MNRE: relations between two entities of a post.",
      features=schema.features(
        settings.image_size, settings.patch_size, self._planner.relations
      ),
      metadata=self._metadata,
      disable_shuffling=True,
    )

  def _records(self, split: str) -> Iterator[dict[str, Any]]:
    """Yields the records of a split and counts what they hold."""
    settings = self._planner.settings
    counts = collections.Counter(longest_text=0)
    skipped = collections.Counter()

    def on_error(error: RowError) -> None:
      if settings.on_error != "skip":
        raise error
      skipped[error.reason] += 1
      self._list_skipped(split, error)

    rows = draw.draw_all(
      self._planner.plans(split, on_error),
      settings.image_size,
      settings.patch_size,
      self._pool,
    )
    progress = tqdm.tqdm(
      rows, f"writing {split}", self._found.num_rows[split], unit=" rows"
    )
    path = schema.text_lengths_file(self._folder, split)
    with open(path, "w", encoding="utf-8") as lengths:
      for plan, drawn in progress:
        if drawn.error:
          on_error(RowError(plan.row.where, "bad picture", drawn.error))
          continue
        _count(counts, plan, settings.num_crops)
        lengths.write(f"{len(plan.encoded.input_ids)}\n")
        yield _record(plan, drawn)
    if not counts["rows"]:
      raise ValueError(f"{split}: every row is bad and was skipped")
    self._metadata["counts"][split] = {**counts, "skipped": dict(skipped)}

  def _list_skipped(self, split: str, error: RowError) -> None:
    """Adds a row to the list of those that were dropped."""
    line = {
      "split": split,
      "where": error.where,
      "reason": error.reason,
      "error": str(error),
    }
    path = os.path.join(self._folder, SKIPPED_FILE)
    with open(path, "a", encoding="utf-8") as file:
      file.write(json.dumps(line) + "\n")


def _record(plan: Plan, drawn: Drawn) -> dict[str, Any]:
  """Returns the features of `schema.features`; TFDS takes PNGs as files."""
  row, encoded = plan.row, plan.encoded
  boxes = {
    kind: [crop.edges for crop in plan.squares[kind] if crop and crop.edges]
    for kind in ("grounded", "detected")
  }
  return {
    "id": row.id,
    "img_id": row.img_id,
    "words": list(row.words),
    "head_span": row.head,
    "tail_span": row.tail,
    "relation": row.relation,
    **encoded._asdict(),
    **{
      kind: list(map(io.BytesIO, pngs)) for kind, pngs in drawn.squares.items()
    },
    "picture_size": drawn.picture_size,
    "grounded_boxes": boxes["grounded"],
    "detected_boxes": boxes["detected"],
    "num_grounded": plan.num_grounded,
    "num_detected": plan.num_detected,
  }


def _count(counts: collections.Counter, plan: Plan, num_crops: int) -> None:
  """Adds a row to the counts of its split.

  Shortened texts are those that lost words, for being too long or because a
  word has no piece. Missing crops are those that the source lists and that have
  no file, grey ones included.
  """
  kept = set(plan.encoded.word_ids) - {-1}
  counts["rows"] += 1
  counts["longest_text"] = max(
    counts["longest_text"], len(plan.encoded.input_ids)
  )
  counts["shortened_texts"] += len(kept) < len(plan.row.words)
  counts["unknown_words"] += plan.num_unknown
  counts["pictures"] += plan.picture is not None
  counts["missing_pictures"] += plan.picture is None
  listed = {"grounded": plan.num_grounded, "detected": plan.num_detected}
  for kind, num_listed in listed.items():
    drawn = sum(crop is not None for crop in plan.squares[kind])
    counts[kind] += drawn
    counts[f"missing_{kind}"] += min(num_listed, num_crops) - drawn
