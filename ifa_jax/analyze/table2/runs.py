"""The runs of a table, a variant and a seed each.

Each lies in WORKDIR/{variant}/seed_{seed} and is the run that launch.py makes
of the same settings: it is resumed, evaluated, shuffled and predicted with as
any other.
"""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ifa_jax.data.schema import Prepared
from ifa_jax.statistics import predictions
from ifa_jax.statistics.systems import System
from ifa_jax.training import experiment, loop
from ifa_jax.training.config import run_record
from ifa_jax.training.config.resolve import resolve
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.experiment import Experiment
from ifa_jax.workdir.run_folder import RunFolder

_log = logging.getLogger("ifa_jax")

SPLIT = "test"
# Where a model sees no picture.
NO_PICTURE = "-"


class Row(NamedTuple):
  """A variant and its runs.

  Attributes:
    variant: its name.
    config: resolved; the seed is that of the run.
    folders: seed -> a run's folder.
    epochs: of each run; not whole if `train.max_steps` ends it.
    updates: of each run.
    visual_source: what the model sees of a picture, as far as the dataset
      tells: "pixels", how many of them are constant grey, or "-". What a model
      of regions sees is in its scores.
  """

  variant: str
  config: RunConfig
  folders: Mapping[int, RunFolder]
  epochs: float
  updates: int
  visual_source: str

  def system(self) -> System:
    """Reads the predictions of all runs.

    Raises:
      ValueError: for a run that is not finished.
    """
    paths = [folder.path for folder in self.folders.values()]
    seeds = (predictions.read(path, SPLIT) for path in paths)
    return System(self.variant, tuple(seeds))


def plan(
  variant: str, config: RunConfig, seeds: Sequence[int], workdir: str
) -> Row:
  """Checks a variant's runs before any of them costs time.

  Args:
    variant: its name.
    config: its own.
    seeds: of its runs.
    workdir: the table's folder; nothing is written.

  Raises:
    ValueError: for a config that cannot be trained, as `experiment.build`, or
      a folder that holds another run.
  """
  folders = {
    seed: RunFolder(os.path.join(workdir, variant, f"seed_{seed}"))
    for seed in seeds
  }
  # A table that was begun goes on as it began, without its weights at hand.
  config = resolve(config, folders[seeds[0]])
  built = experiment.build(config, folders[seeds[0]])
  for seed, folder in folders.items():
    if os.path.isdir(folder.path) and os.listdir(folder.path):
      own = dataclasses.replace(built.config, seed=seed)
      run_record.claim(folder, own, built.prepared.metadata)
  return Row(
    variant,
    config,
    folders,
    built.epochs.num_steps / built.epochs.length,
    built.epochs.num_steps,
    _visual_source(built),
  )


def _visual_source(built: Experiment) -> str:
  fields = [field for field, *_ in built.config.model.picture_slots]
  return _pixels(built.prepared, fields) if fields else NO_PICTURE


def _pixels(prepared: Prepared, fields: Sequence[str]) -> str:
  """Returns "pixels", "pixels, 60 % grey", "grey" or "nothing", of test."""
  counts = prepared.metadata["counts"][SPLIT]
  names = ["pictures" if field == "image" else field for field in fields]
  there = sum(counts[name] for name in names)
  missing = sum(counts[f"missing_{name}"] for name in names)
  grey = prepared.metadata["missing_pixels"] == "grey"
  what = "grey" if grey else "absent"
  if not there:
    return "grey" if grey and missing else "nothing"
  if not missing:
    return "pixels"
  return f"pixels, {100 * missing / (there + missing):.0f} % {what}"


def train_all(rows: Sequence[Row]) -> None:
  """Trains what is not finished yet, one run after the other.

  Args:
    rows: as `plan` returns them.
  """
  runs = [
    (row, seed, folder) for row in rows for seed, folder in row.folders.items()
  ]
  for i, (row, seed, folder) in enumerate(runs, start=1):
    _log.info(
      "run %d of %d: %s, seed %d, in %s",
      i,
      len(runs),
      row.variant,
      seed,
      folder.path,
    )
    config = dataclasses.replace(row.config, seed=seed)
    loop.run(experiment.build(config, folder), folder.path)
