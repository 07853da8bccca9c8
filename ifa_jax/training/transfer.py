"""Scores a run on another dataset; relations are matched by their names."""

import dataclasses
import logging
import os
from collections.abc import Sequence
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

  Writes `on_{name}/eval_{split}.json` and `on_{name}/predictions_{split}.jsonl`
  into the run's folder, where name is the last part of `data_dir`; `compare`
  reads that folder as it reads a run's.

  Args:
    config: the run's, resolved.
    folder: the run's.
    data_dir: a prepared dataset, for the run's tokenizer and geometry.
    split: "dev" or "test".
    protocol: of the dataset; None: the run's.
    unknown: "wrong" or "skip", for rows whose relation the run does not know.

  Returns:
    The scores, as written: those of `evaluation.write`, and `unknown`, the
    number of rows of each relation that the run does not know.

  Raises:
    ValueError: for a dataset that the model cannot read, or no row to score.
  """
  if config.model.reads_words or config.model.regions is not None:
    raise ValueError(
      f"--data_dir: expected a run that reads WordPieces, pixels or captions,"
      f" got {config.model.system}, which reads words or scenes of its dataset"
    )
  known = folder.read_record()["dataset"]["relations"]
  built, names = _build(config, data_dir, protocol, known)
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
    _folder(folder, data_dir),
    split,
    Predictions(gold[kept], predictions.probabilities[kept]),
    best.step,
    kept.tolist(),
    {"unknown": counts},
  )
  if collectives.is_first():
    title = f"{split} scores of {folder.path} on {data_dir}"
    tables.print_scores(scores, title=title)
  return scores


def _folder(folder: RunFolder, data_dir: str) -> RunFolder:
  name = os.path.basename(os.path.abspath(data_dir))
  inside = RunFolder(folder.file(f"on_{name}"))
  collectives.run_on_first(lambda: os.makedirs(inside.path, exist_ok=True))
  return inside


def _build(
  config: RunConfig, data_dir: str, protocol: str | None, known: Sequence[str]
) -> tuple[Experiment, list[str]]:
  """Returns the run on other data, and the relations of that data by id."""
  data = dataclasses.replace(
    config.data, data_dir=data_dir, protocol=protocol or config.data.protocol
  )
  config = dataclasses.replace(config, data=data)
  prepared = schema.read_metadata(
    data_dir, data.protocol, lambda: dataset_settings.command(config)
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
