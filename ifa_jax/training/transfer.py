"""Scores a run on another dataset; relations are matched by their names."""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ifa_jax.cli import tables
from ifa_jax.data import relation_names, schema
from ifa_jax.runtime import collectives
from ifa_jax.training import evaluation, experiment
from ifa_jax.training.config import dataset_settings
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.evaluation import Predictions
from ifa_jax.training.experiment import Experiment
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

_log = logging.getLogger("ifa_jax")


def run(
  config: RunConfig,
  folder: RunFolder,
  data_dir: str,
  split: str,
  protocol: str | None = None,
  unknown: str = "wrong",
) -> dict[str, Any]:
  """Scores a run's best checkpoint on a split of another dataset.

  Writes `eval_{split}.json` and `predictions_{split}.jsonl` into a folder
  inside the run's, which `compare` reads as it reads a run's. Its name is
  `on_{name}`, where name is the last part of `data_dir`, followed by
  `_{protocol}` if that is not the run's, and by `_skip`.

  Args:
    config: the run's, resolved.
    folder: the run's.
    data_dir: a prepared dataset, for the run's tokenizer and geometry.
    split: "dev" or "test".
    protocol: of the dataset; None: the run's.
    unknown: "wrong" or "skip", for rows whose relation the run does not know.

  Returns:
    The scores, as written: those of `evaluation.write`, `data_dir`, and
    `unknown`, the number of rows of each relation that the run does not know.

  Raises:
    ValueError: for a dataset that the model cannot read, no row to score, or
      scores of another dataset of the same name, which are kept.
  """
  if config.model.reads_words or config.model.regions is not None:
    raise ValueError(
      f"--data_dir: expected a run that reads WordPieces, pixels or captions,"
      f" got {config.model.system}, which reads words or scenes of its dataset"
    )
  trained_on = folder.read_record()["dataset"]
  known = trained_on["relations"]
  data = dataclasses.replace(
    config.data, data_dir=data_dir, protocol=protocol or config.data.protocol
  )
  suffix = f"_{data.protocol}" if data.protocol != config.data.protocol else ""
  suffix += "_skip" if unknown == "skip" else ""
  built, names = _build(dataclasses.replace(config, data=data), trained_on)
  out = _open(folder, data_dir, suffix)
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    best = evaluation.load_best(built, checkpoints)
  predictions = evaluation.Evaluator(built).predict(
    best.params, built.data.split(split)
  )
  # Ids of relations that the run does not know follow those that it does.
  union = [*known, *(name for name in names if name not in known)]
  gold = np.array([union.index(name) for name in names])[predictions.gold]
  counts = {
    name: int(number)
    for i, name in enumerate(union)
    if i >= len(known) and (number := np.sum(gold == i))
  }
  _warn(counts, data_dir, unknown)
  kept = np.flatnonzero((gold < len(known)) | (unknown == "wrong"))
  if not len(kept):
    raise ValueError(
      f"{data_dir}: expected rows of relations that {folder.path} knows, got"
      f" none in {split}"
    )
  scores = evaluation.write(
    dataclasses.replace(built, prepared=_renamed(built.prepared, union)),
    out,
    split,
    Predictions(gold[kept], predictions.probabilities[kept]),
    best.step,
    kept.tolist(),
    {"data_dir": os.path.abspath(data_dir), "unknown": counts},
  )
  if collectives.is_first():
    title = f"{split} scores of {folder.path} on {data_dir}"
    tables.print_scores(scores, title=title)
  return scores


def _open(folder: RunFolder, data_dir: str, suffix: str) -> RunFolder:
  """Returns the folder of the scores, which may hold those of another split.

  Raises:
    ValueError: if it holds those of another dataset.
  """
  path = os.path.abspath(data_dir)
  inside = RunFolder(folder.file(f"on_{os.path.basename(path)}{suffix}"))

  def make() -> None:
    os.makedirs(inside.path, exist_ok=True)
    for split in ("dev", "test"):
      scores = inside.read_json(f"eval_{split}.json")
      found = scores.get("data_dir", path) if isinstance(scores, dict) else path
      if found != path:
        raise ValueError(
          f"{inside.path}: expected scores on {path}, got those on {found};"
          " move or remove this folder"
        )

  collectives.run_on_first(make)
  return inside


def _build(
  config: RunConfig, trained_on: Mapping[str, Any]
) -> tuple[Experiment, list[str]]:
  """Returns the run on other data, and the relations of that data by id.

  Args:
    config: the run's, with the other data.
    trained_on: metadata of the run's own dataset.
  """
  data, known = config.data, trained_on["relations"]
  prepared = schema.read_metadata(
    data.data_dir, data.protocol, lambda: dataset_settings.command(config)
  )
  ours, theirs = trained_on["tokenizer"], prepared.metadata["tokenizer"]
  # Any vocabulary of the size may be chosen for training, but not changed.
  if config.model.text is not None and ours["sha256"] != theirs["sha256"]:
    raise ValueError(
      f"{prepared.folder}: expected texts of the run's tokenizer"
      f" {ours['name']!r} (sha256 {ours['sha256'][:12]}), got those of"
      f" {theirs['name']!r} (sha256 {theirs['sha256'][:12]})"
    )
  # "none" is "None".
  spelled = {relation_names.look(name): name for name in known}
  names = [
    spelled.get(relation_names.look(name), name) for name in prepared.relations
  ]
  return experiment.of_dataset(config, _renamed(prepared, known)), names


def _renamed(
  prepared: schema.Prepared, relations: Sequence[str]
) -> schema.Prepared:
  metadata = prepared.metadata | {"relations": [*relations]}
  return prepared._replace(metadata=metadata)


def _warn(counts: dict[str, int], data_dir: str, unknown: str) -> None:
  if not counts:
    return
  named = ", ".join(f"{name} ({number})" for name, number in counts.items())
  treated = "all wrong" if unknown == "wrong" else "left out"
  _log.warning(
    "%s: rows of relations that the run does not know, %s: %s",
    data_dir,
    treated,
    named,
  )
