"""A trained model in its run folder, or in a shared folder."""

import os
import re
import shlex
from collections.abc import Mapping
from typing import Any

from ifa_jax.files import checksums, json_file, params_file
from ifa_jax.files.shown import shown
from ifa_jax.inference import seen_kinds
from ifa_jax.inference.sharing import record
from ifa_jax.inference.sharing.record import (
  DataSettings,
  PredictionSettings,
  Record,
)
from ifa_jax.models import parameters
from ifa_jax.training.config import run_record
from ifa_jax.workdir.run_folder import RunFolder

# Separators between a path and the text around it.
_SEPARATORS = re.compile(r"(=|,|: )")

# Settings that are paths. Others may look like one, such as the patterns of
# optim.groups and the names of relations.
_PATHS = ("data_dir", "tokenizer", "scenes", "word_vectors", "weights")
_PATTERNS = "--config.optim."

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
    settings: those that prediction needs.
  """

  def __init__(self, path: str | os.PathLike):
    """Reads the run's record.

    Raises:
      ValueError: if the folder holds no run, or a damaged record.
    """
    self._folder = folder = RunFolder(path)
    self.path = folder.path
    self._record = folder.read_record()
    where, dataset = folder.file("config.json"), self._record["dataset"]
    for key in ("config", "dataset"):
      expected = record.RUN[key]
      record.check(self._record[key], expected, f"{where}: {key}", True)
    config = run_record.parse(self._record["config"], where)
    data = config.data
    self.settings = PredictionSettings(
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
        data.scenes and os.path.basename(os.path.abspath(data.scenes)),
      ),
      frozenset(seen_kinds.of_run(folder, config.model)),
    )

  def best(self) -> tuple[int, str]:
    """Returns the best checkpoint's step and the file of its checksums.

    Raises:
      ValueError: if no checkpoint has dev scores yet.
    """
    from ifa_jax.workdir.checkpoints import Checkpoints

    folder = self._folder.file("checkpoints")
    with Checkpoints(folder) as checkpoints:
      step = checkpoints.best_scored()
    return step, os.path.join(folder, str(step), checksums.FILE)

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
    if start := training.get("start"):
      training["start"] = [*map(_without_folders, start)]
    config = _without_paths(training["config"])
    training["config"] = config | {"data": _without_paths(config["data"])}
    found = scores.of_run(self._folder, step)
    return Record(self.settings, step, training, None, None, found)


def _without_paths(section: Mapping[str, Any]) -> dict[str, Any]:
  """Cuts the settings of a section that are paths."""
  return {
    key: _without_folders(value) if key in _PATHS else value
    for key, value in section.items()
  }


def _without_folders(value: Any) -> Any:
  """Cuts paths outside of the working folder to their last part.

  Args:
    value: a setting, a word of a command line, or a line of a run's start;
      values that are not strings are returned unchanged.
  """
  if not isinstance(value, str) or value.startswith(_PATTERNS):
    return value
  return "".join(
    os.path.basename(piece.rstrip("/"))
    if piece.startswith(("/", "~", ".."))
    else piece
    for piece in _SEPARATORS.split(value)
  )


class SharedModel:
  """A model that `saving.save` wrote.

  Attributes:
    path: of the folder.
    settings: those that prediction needs.
  """

  def __init__(self, path: str | os.PathLike):
    """Reads the settings and verifies the checksums of all files.

    Raises:
      ValueError: if a file is missing, damaged or of another format.
    """
    self.path = os.path.abspath(path)
    self._record = record.read(self.path)
    self.settings = self._record.settings
    _check_files(self.path)

  def best(self) -> tuple[int, str]:
    """Returns the step and the file of the checksums."""
    return self._record.step, os.path.join(self.path, checksums.FILE)

  def load(self, step: int | None = None) -> tuple[int, Any]:
    """Returns the step and the parameters, nested float32 arrays.

    Args:
      step: the expected step; None: any.

    Raises:
      ValueError: if the parameters do not match the settings.
    """
    if step not in (None, self._record.step):
      raise ValueError(
        f"{self.path}: expected step {step}, got {self._record.step}"
      )
    like = parameters.abstract_params(self.settings.model)
    path = os.path.join(self.path, params_file.FILE)
    return self._record.step, params_file.read(path, like)

  def make_record(self, step: int) -> Record:
    """Returns the model's own record; see `RunModel.make_record`."""
    del step
    return self._record


def _check_files(folder: str) -> None:
  """Verifies that all files exist and are unchanged."""
  path = os.path.join(folder, checksums.FILE)
  try:
    listed = json_file.load(path)
  except OSError as error:
    raise ValueError(
      f"{path}: expected checksums, got no file that can be read"
      f" ({error.strerror})"
    ) from None
  if not isinstance(listed, dict) or params_file.FILE not in listed:
    raise ValueError(f"{path}: expected checksums by file, got {shown(listed)}")
  for name in listed:
    if os.path.isabs(name) or ".." in name.split("/"):
      raise ValueError(
        f"{path}: expected files in this folder, got {shown(name)}"
      )
    file = os.path.join(folder, name)
    if not os.path.isfile(file):
      raise ValueError(f"{file}: expected a file of this model, got none")
  if found := checksums.damage(folder):
    raise ValueError(found)


def open_folder(path: str | os.PathLike) -> RunModel | SharedModel:
  """Opens the model in a run folder or in a shared folder.

  Raises:
    ValueError: if the folder holds neither, or a damaged one.
  """
  # A damaged shared folder may lack either of the files that tell it apart.
  if os.path.exists(os.path.join(path, params_file.FILE)):
    return SharedModel(path)
  try:
    found = json_file.load(os.path.join(path, record.FILE))
  except (OSError, ValueError):
    found = None
  is_shared = isinstance(found, dict) and "library_name" in found
  return SharedModel(path) if is_shared else RunModel(path)
