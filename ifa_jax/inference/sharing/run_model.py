"""A trained model in its run folder."""

import functools
import os
import re
import shlex
from typing import Any

import jax

from ifa_jax.inference import seen_kinds
from ifa_jax.inference.sharing.prediction_settings import (
  DataSettings,
  PredictionSettings,
)
from ifa_jax.inference.sharing.record import Record
from ifa_jax.training.config import run_record
from ifa_jax.workdir.run_folder import RunFolder

# Separators between a path and the text around it.
_SEPARATORS = re.compile(r"(=|,|: )")

# Entries of the run's record that are shared.
_TRAINING = (
  "command",
  "start",
  "config",
  "dataset",
  "versions",
  "git_commit",
)


class RunModel:
  """The model of a run at its best checkpoint.

  Attributes:
    path: of the run's folder.
  """

  def __init__(self, folder: RunFolder):
    """Reads the run's record.

    Raises:
      ValueError: if the folder holds no run.
    """
    self.path = folder.path
    self._folder = folder
    self._record = folder.read_record()

  @functools.cached_property
  def settings(self) -> PredictionSettings:
    """The settings that prediction needs."""
    where = self._folder.file("config.json")
    config = run_record.parse(self._record["config"], where)
    dataset, data = self._record["dataset"], config.data
    return PredictionSettings(
      config.model,
      dataset["relations"],
      dataset["protocol"],
      dataset["image_size"],
      dataset["tokenizer"]["sha256"],
      DataSettings(
        data.text_len,
        data.caption_len,
        data.text_buckets,
        data.layout,
        _last_part(data.scenes),
      ),
      frozenset(seen_kinds.of_run(self._folder, config.model)),
    )

  def load(self, step: int | None = None) -> tuple[int, Any]:
    """Returns a checkpoint's step and parameters, nested float32 arrays.

    Args:
      step: of the checkpoint; None: the best.

    Raises:
      ValueError: if there is no such checkpoint, or it is damaged.
    """
    # Imports Orbax, which shared models do not need.
    from ifa_jax.workdir.checkpoints import Checkpoints

    with Checkpoints(self._folder.file("checkpoints")) as checkpoints:
      best = checkpoints.best_scored()
      if step not in (None, best):
        raise ValueError(
          f"{self.path}: expected the best checkpoint at step {step}, got step"
          f" {best}: training has continued; load the run again"
        )
      return best, checkpoints.restore_params(best)

  def make_record(self, step: int) -> Record:
    """Returns the record for sharing the model, with its scores.

    Args:
      step: of the checkpoint; the scores must be its own.

    Raises:
      ValueError: if the run's scores are damaged or of another checkpoint.
    """
    # Imports scipy.
    from ifa_jax.inference.sharing import scores

    training = {k: self._record[k] for k in _TRAINING if k in self._record}
    if command := training.get("command"):
      words = map(_without_folders, shlex.split(command))
      training["command"] = shlex.join(words)
    training = jax.tree.map(_without_folders, training)
    found = scores.of_run(self._folder, step)
    return Record(self.settings, step, training, None, None, found)


def _without_folders(value: Any) -> Any:
  """Cuts paths outside of the working folder to their last part.

  Args:
    value: a setting, a word of a command line, or a line of a run's start;
      values that are not strings are returned unchanged.
  """
  if not isinstance(value, str):
    return value
  return "".join(
    os.path.basename(piece.rstrip("/"))
    if piece.startswith(("/", "~", ".."))
    else piece
    for piece in _SEPARATORS.split(value)
  )


def _last_part(path: str | None) -> str | None:
  return path and os.path.basename(os.path.abspath(path))
