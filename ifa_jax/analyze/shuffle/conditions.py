"""Predictions of a run with changed pictures: the columns of Table 1.

standard         the test split unchanged
shuffle(test)    each row with the pictures of another, a permutation per seed
blank            every picture, crop and object absent
shuffle(train)   another run, trained on shuffled pictures
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ifa_jax.analyze import outputs
from ifa_jax.batch import blank_pictures
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.sampling import Shuffle
from ifa_jax.models import variants
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig
from ifa_jax.statistics import metrics, predictions
from ifa_jax.training import evaluation, experiment, loop
from ifa_jax.training.config import run_record
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.epochs import pictures, shuffled_rows
from ifa_jax.training.evaluation import Predictions
from ifa_jax.training.experiment import Experiment
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

_SPLIT = "test"
# Parts of the names of the files of predictions.
_FILES = {
  Shuffle(unit, keep): "_".join(
    ["shuffle"] + ["image"] * (unit == "image") + ["count"] * (keep == "count")
  )
  for unit in sampling.UNITS
  for keep in sampling.KEEPS
}


class Condition(NamedTuple):
  """A split's predictions under one condition.

  Attributes:
    name: as in the table.
    predicted: int[S, P, n] relation ids, by S runs that differ in their seed
      and P permutations.
    seeds: of the permutations; empty if nothing is permuted.
    own: fraction of rows that keep their own picture, mean over permutations;
      None if nothing is permuted.
  """

  name: str
  predicted: np.ndarray
  seeds: tuple[int, ...] = ()
  own: float | None = None


def predict(
  built: Experiment,
  folder: RunFolder,
  shuffles: Sequence[Shuffle],
  num_seeds: int,
) -> tuple[np.ndarray, list[Condition]]:
  """Predicts a run's test split under each condition, standard first.

  Writes the predictions of shuffle(test) and blank into the run's folder:
  `predictions_test_shuffle_0.jsonl`, like `predictions_test.jsonl`, for the
  first permutation. Those of an earlier call are replaced, kind by kind.

  Args:
    built: from the run's own config.
    folder: the run's.
    shuffles: kinds of shuffle(test).
    num_seeds: S, permutations of each kind, with seeds 0 to S - 1.

  Returns:
    The gold relations, int[n], and the conditions.

  Raises:
    ValueError: if the folder has no checkpoint with dev scores.
  """
  split = built.data.split(_SPLIT)
  evaluator = evaluation.Evaluator(built)
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    params = evaluation.load_best(built, checkpoints).params

  def write(predictions: Predictions, *names: object) -> np.ndarray:
    name = "_".join(map(str, ("predictions", _SPLIT, *names)))
    lines = evaluation.lines(built, split, predictions)
    folder.write_lines(f"{name}.jsonl", lines)
    return predictions.predicted

  standard = evaluator.predict(params, split)
  found = [Condition("standard", standard.predicted[None, None])]
  seeds, names = tuple(range(num_seeds)), pictures(split)
  for shuffle in shuffles:
    orders = [shuffled_rows(built.data, split, seed, shuffle) for seed in seeds]
    file = _FILES[shuffle]
    outputs.remove_draws(folder, f"predictions_{_SPLIT}_{file}")
    predicted = np.stack(
      [
        write(evaluator.predict(params, split, rows), file, seed)
        for seed, rows in zip(seeds, orders, strict=True)
      ]
    )
    own = np.mean([sampling.share_of_own(rows, names) for rows in orders])
    name = "shuffle(test)"
    name += ", by image" * (shuffle.unit == "image")
    name += ", count kept" * (shuffle.keep == "count")
    found.append(Condition(name, predicted[None], seeds, float(own)))
  blank = evaluator.predict(params, split, change=blank_pictures)
  found.append(Condition("blank", write(blank, "blank")[None, None]))
  return standard.gold, found


def stack(runs: Sequence[Sequence[Condition]]) -> list[Condition]:
  """Joins the conditions of runs that differ in their seed."""
  return [
    same[0]._replace(predicted=np.concatenate([x.predicted for x in same]))
    for same in zip(*runs, strict=True)
  ]


def train_shuffled(
  built: Experiment, folder: RunFolder, seed: int
) -> RunFolder:
  """Trains a run's config on shuffled pictures: shuffle(train).

  The new run is inside the old one's folder, and is resumed if it was stopped.
  """
  data = dataclasses.replace(built.config.data, visual_shuffle_seed=seed)
  config = dataclasses.replace(built.config, data=data)
  inside = RunFolder(folder.file(f"shuffle_train_{seed}"))
  if inside.read_json(f"eval_{_SPLIT}.json") is None:
    loop.run(experiment.build(config, inside), inside.path)
  return inside


def read_run(
  folder: RunFolder, built: Experiment, gold: np.ndarray
) -> Condition:
  """Returns another run's predictions of the same rows.

  Raises:
    ValueError: if it is not finished, or was scored on other data.
  """
  record = folder.read_record()
  found = predictions.read(folder.path, _SPLIT)
  ids = {name: i for i, name in enumerate(built.prepared.relations) if i}
  ids[predictions.NONE] = metrics.NONE
  lines = found.lines.values()
  theirs = record["dataset"]["sources"], found.protocol
  ours = built.prepared.metadata["sources"], built.prepared.protocol
  if theirs != ours or [ids.get(x["gold"]) for x in lines] != [*gold]:
    raise ValueError(
      f"{folder.path}: expected a run on the data of {built.prepared.folder}"
      f" (protocol {built.prepared.protocol}), got one on other data (protocol"
      f" {found.protocol})"
    )
  # A relation that the dataset does not have is wrong for every row.
  predicted = np.array([[[ids.get(line["pred"], -1) for line in lines]]])
  name = _describe(run_record.read(folder), built.config.model)
  return Condition(name, predicted)


def _describe(theirs: RunConfig, ours: System) -> str:
  """Names another run: its model if it differs from ours, and its pictures."""
  name = variants.name_of(theirs.model)
  # Variants of IFAformer differ in their pictures, which are named anyway.
  same = theirs.model.system == ours.system == ModelConfig.system
  prefix = "" if same or name == variants.name_of(ours) else f"{name}, "
  if not theirs.model.sees_pictures:
    return f"{prefix}text only, another run"
  if theirs.data.visual_shuffle_seed is not None:
    return f"{prefix}shuffle(train)"
  return f"{prefix}standard, another run"
