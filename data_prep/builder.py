"""The TensorFlow Datasets builder: plans and squares to TFRecord shards."""

import collections
import io
import json
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

import tensorflow_datasets as tfds
import tqdm

from data_prep import draw
from data_prep.draw import Drawn
from data_prep.lines import RowError
from data_prep.plan import Plan, Planner
from data_prep.survey import Survey
from ifa_jax.data import schema

SKIPPED_FILE = "skipped.jsonl"
TOKENIZER_FOLDER = "tokenizer"


class Mnre(tfds.core.GeneratorBasedBuilder):
  """Writes `mnre/<protocol>/<version>/` with the rows in file order."""

  VERSION = tfds.core.Version(f"{schema.FORMAT_VERSION}.0.0")
  # Nothing is downloaded. Without this line TFDS 4.9.10 looks for checksums by
  # `importlib_resources`, which it does not install.
  url_infos = None

  def __init__(
    self,
    *,
    data_dir: str,
    planner: Planner,
    found: Survey,
    metadata: dict[str, Any],
    pool: Executor | None = None,
  ):
    """Prepares nothing yet; `download_and_prepare` does.

    Args:
      data_dir: where `mnre/` is written.
      planner: what each row becomes.
      found: the survey, for the progress bars.
      metadata: `survey.metadata`; the counts are added while writing.
      pool: `draw.start_pool`, or None to draw in this process.
    """
    self._planner = planner
    self._found = found
    self._pool = pool
    self._metadata = tfds.core.MetadataDict(metadata)
    protocol = planner.settings.protocol
    super().__init__(
      data_dir=data_dir,
      config=tfds.core.BuilderConfig(
        name=protocol, description=f"Grounded crops: protocol {protocol}."
      ),
    )

  def _info(self) -> tfds.core.DatasetInfo:
    """Describes the records."""
    settings = self._planner.settings
    return tfds.core.DatasetInfo(
      builder=self,
      description="MNRE: relations between two entities of a post.",
      features=schema.features(
        settings.image_size, settings.patch_size, self._planner.relations
      ),
      metadata=self._metadata,
      disable_shuffling=True,
    )

  def _split_generators(self, dl_manager):
    """Returns the three splits; nothing is downloaded."""
    # TFDS points data_dir to a folder that it renames when all is written.
    self._planner.tokenizer.save(os.path.join(self.data_dir, TOKENIZER_FOLDER))
    return {split: self._generate_examples(split) for split in schema.SPLITS}

  def _generate_examples(
    self, split: str
  ) -> Iterator[tuple[int, dict[str, Any]]]:
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
    path = schema.text_lengths_file(self.data_dir, split)
    with open(path, "w", encoding="utf-8") as lengths:
      for plan, drawn in progress:
        if drawn.error:
          on_error(RowError(plan.row.where, "bad picture", drawn.error))
          continue
        _count(counts, plan, settings.num_crops)
        lengths.write(f"{len(plan.encoded.input_ids)}\n")
        yield plan.row.line, _record(plan, drawn)
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
    path = os.path.join(self.data_dir, SKIPPED_FILE)
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
  counts["pictures"] += plan.picture is not None
  counts["missing_pictures"] += plan.picture is None
  listed = {"grounded": plan.num_grounded, "detected": plan.num_detected}
  for kind, num_listed in listed.items():
    drawn = sum(crop is not None for crop in plan.squares[kind])
    counts[kind] += drawn
    counts[f"missing_{kind}"] += min(num_listed, num_crops) - drawn
