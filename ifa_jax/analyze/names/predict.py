"""Predictions of a run for rows with other texts, next to its own."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.analyze.names import draw, rewrite
from ifa_jax.analyze.names.draw import Dataset
from ifa_jax.analyze.names.rewrite import RewrittenSplit
from ifa_jax.analyze.names.types import Pair, Types, of_relations
from ifa_jax.batch import Geometry
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.data.scenes.region_features import RegionGeometry
from ifa_jax.data.text.row_text import RowText
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.statistics import predictions
from ifa_jax.training import evaluation
from ifa_jax.training.batch_source import SPLIT_NAMES
from ifa_jax.training.evaluation import Predictions
from ifa_jax.training.experiment import Experiment
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

_BATCH_SIZE = 256


class Run(NamedTuple):
  """A finished run.

  Attributes:
    built: from its own config.
    params: of its best checkpoint, on the devices.
    texts: of the n test rows.
    original: its own predictions of them.
    tokenizer: of the dataset.
  """

  built: Experiment
  params: Any
  texts: list[RowText]
  original: Predictions
  tokenizer: Tokenizer


def open_run(built: Experiment, folder: RunFolder) -> Run:
  """Loads a run and predicts its test split.

  Raises:
    ValueError: if the folder has no finished run, its predictions cannot be
      reproduced, or the model needs a parse of each text.
  """
  model = built.config.model
  text_len = built.config.data.text_len
  if model.regions is not None and RegionGeometry.of(model, text_len).align:
    raise ValueError(
      "model.system: expected a model that reads no parse of the text, since"
      f" other texts have none, got {model.system}"
    )
  written = predictions.read(folder.path, "test")
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    params = evaluation.load_best(built, checkpoints).params
  split = built.data.split("test")
  original = evaluation.Evaluator(built).predict(params, split)
  texts = read_texts(split)
  _check_predictions(built, texts, original, written, folder)
  path = os.path.join(built.prepared.folder, "tokenizer")
  sha256 = built.prepared.metadata["tokenizer"]["sha256"]
  run = Run(built, params, texts, original, Tokenizer.load(path, sha256))
  _check_texts(run)
  return run


def read_texts(split: Split) -> list[RowText]:
  """Returns the texts of a split."""
  return [split.describe(row) for row in range(len(split))]


def _check_predictions(
  built: Experiment,
  texts: Sequence[RowText],
  found: Predictions,
  written: predictions.Seed,
  folder: RunFolder,
) -> None:
  names = built.prepared.relations
  ours = {
    text.id: predictions.NONE if best == 0 else names[best]
    for text, best in zip(texts, found.predicted, strict=True)
  }
  theirs = {row: line["pred"] for row, line in written.lines.items()}
  if ours != theirs:
    rows = [row for row in ours if ours[row] != theirs.get(row)]
    raise ValueError(
      f"{written.path}: expected the predictions of the run's best checkpoint,"
      f" got others in {len(rows) or 'additional'} rows"
      f"{', the first ' + rows[0] if rows else ''}; to write them again:"
      f" {predictions.evaluation_command(folder.path, 'test')}"
    )


def _check_texts(run: Run) -> None:
  """Raises ValueError unless unchanged texts get the stored WordPieces."""
  for text in run.texts:
    if rewritten(run, text).encoded != text.encoded:
      raise ValueError(
        f"{run.built.prepared.folder}: expected the WordPieces of its tokenizer"
        f" in row {text.id}, got others; prepare the dataset again"
      )


def rewritten(run: Run, text: RowText) -> RowText:
  """Returns a row with the WordPieces of its words.

  Raises:
    ValueError: if its entities alone are too long; names the row.
  """
  try:
    text_len = run.built.config.data.text_len
    return rewrite.encode(text, run.tokenizer, text_len)
  except ValueError as error:
    raise ValueError(f"{text.id}: {error}") from None


def predict(
  run: Run, rows: Sequence[int], texts: Sequence[RowText]
) -> Predictions:
  """Returns the predictions of test rows with other texts, encoded.

  Args:
    run: opened.
    rows: n numbers of rows, repeated or left out at will.
    texts: of these rows.
  """
  # Stores of decoded rows are by number of row, and hold the texts.
  data = dataclasses.replace(run.built.config.data, cache="none")
  config = dataclasses.replace(run.built.config, data=data)
  fresh = dataclasses.replace(run.built, config=config)
  split = RewrittenSplit(run.built.data.split("test"), rows, texts)
  return evaluation.Evaluator(fresh).predict(run.params, split)


def read_pairs(built: Experiment, name: str) -> list[Pair]:
  """Returns the names and relations of the rows of a split."""
  split, relations = built.data.split(name), built.prepared.relations
  order = sampling.evaluation_order(len(split), _BATCH_SIZE)
  batches = split.batches(order, Geometry(built.config.data.text_len))
  labels = np.concatenate([x.label[x.valid] for x in batches])
  return [
    Pair(
      tuple(text.words[slice(*text.head)]),
      tuple(text.words[slice(*text.tail)]),
      relations[label],
    )
    for text, label in zip(read_texts(split), labels, strict=True)
  ]


def read_dataset(
  built: Experiment, types_path: str | None, typed: bool
) -> tuple[dict[str, list[Pair]], Dataset]:
  """Returns the pairs of each split, and the dataset for draws.

  Args:
    built: of the run.
    types_path: see `types.of_relations`.
    typed: whether names are drawn by their types.

  Raises:
    ValueError: for a relation without types, if they are needed.
  """
  relations = built.prepared.relations
  kinds = of_relations(relations, types_path) if typed else {}
  pairs = {name: read_pairs(built, name) for name in SPLIT_NAMES}
  every = [pair for some in pairs.values() for pair in some]
  words = {
    word.lower().lstrip("@#")
    for text in read_texts(built.data.split("train"))
    for word in text.words
  }
  known = draw.pairs_of(every)
  return pairs, Dataset(Types(every, kinds), known, frozenset(words))
