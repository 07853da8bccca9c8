"""The runs of a table: one per variant and seed.

Each is in WORKDIR/{variant}/seed_{seed}, and is the run that launch.py makes
with the same settings: it can be resumed, evaluated, shuffled and used for
prediction like any other.
"""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ifa_jax.data.schema import Prepared
from ifa_jax.training import experiment, loop
from ifa_jax.training.config import run_record
from ifa_jax.training.config.resolve import resolve
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.workdir.run_folder import RunFolder

_log = logging.getLogger("ifa_jax")

SPLIT = "test"


class Row(NamedTuple):
  """A variant and its runs."""

  variant: str
  config: RunConfig  # Resolved, but for the seed.
  folders: Mapping[int, RunFolder]  # By seed.
  epochs: float  # Of each run; fractional if `train.max_steps` ends it.
  updates: int  # Of each run.
  # Input from pictures as far as the dataset reports it: "pixels", how many of
  # them are constant grey, or "-". Scores have that of a model of regions.
  visual_source: str


def plan(
  variant: str, config: RunConfig, seeds: Sequence[int], workdir: str
) -> Row:
  """Checks a variant's runs before any of them is trained; writes nothing.

  Raises:
    ValueError: for a config that cannot be trained, as `experiment.build`, or
      a folder that has another run.
  """
  folders = {
    seed: RunFolder(os.path.join(workdir, variant, f"seed_{seed}"))
    for seed in seeds
  }
  # A table is resumed with its first settings, without its weights at hand.
  config = resolve(config, folders[seeds[0]])
  built = experiment.build(config, folders[seeds[0]])
  for seed, folder in folders.items():
    if os.path.isdir(folder.path) and os.listdir(folder.path):
      own = dataclasses.replace(built.config, seed=seed)
      run_record.claim(folder, own, built.prepared.metadata)
  updates = built.epochs.num_steps
  fields = [field for field, *_ in built.config.model.picture_slots]
  source = _pixels(built.prepared, fields) if fields else "-"
  if built.config.model.reads_caption:
    source = "captions"
  epochs = updates / built.epochs.length
  return Row(variant, config, folders, epochs, updates, source)


def _pixels(prepared: Prepared, fields: Sequence[str]) -> str:
  """Returns "pixels", "pixels, 60 % grey", "grey" or "nothing", of test."""
  counts = prepared.metadata["counts"][SPLIT]
  names = ["pictures" if field == "image" else field for field in fields]
  present = sum(counts[name] for name in names)
  missing = sum(counts[f"missing_{name}"] for name in names)
  is_grey = prepared.metadata["missing_pixels"] == "grey"
  if not present:
    return "grey" if is_grey and missing else "nothing"
  if not missing:
    return "pixels"
  share = 100 * missing / (present + missing)
  return f"pixels, {share:.0f} % {'grey' if is_grey else 'absent'}"


def train_all(rows: Sequence[Row]) -> None:
  """Trains the runs of planned rows that are not finished, in order."""
  runs = [(row, *run) for row in rows for run in row.folders.items()]
  for i, (row, seed, folder) in enumerate(runs, start=1):
    place = f"run {i} of {len(runs)}: {row.variant}, seed {seed}"
    _log.info("%s, in %s", place, folder.path)
    config = dataclasses.replace(row.config, seed=seed)
    loop.run(experiment.build(config, folder), folder.path)
