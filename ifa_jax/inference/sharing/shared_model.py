"""A trained model in a shared folder."""

import os
from typing import Any

from ifa_jax.files import checksums, json_file, params_file
from ifa_jax.files.shown import shown
from ifa_jax.inference.sharing import record
from ifa_jax.inference.sharing.prediction_settings import PredictionSettings
from ifa_jax.inference.sharing.record import Record
from ifa_jax.models import parameters


class SharedModel:
  """A model that `saving.save` wrote.

  Attributes:
    path: of the folder.
  """

  def __init__(self, path: str | os.PathLike):
    """Reads the settings and verifies the checksums of all files.

    Raises:
      ValueError: if a file is missing, damaged or of another format.
    """
    self.path = os.path.abspath(path)
    self._record = record.read(self.path)
    _check_files(self.path)

  @property
  def settings(self) -> PredictionSettings:
    """The settings that prediction needs."""
    return self._record.settings

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


def is_shared(path: str | os.PathLike) -> bool:
  """Returns whether a folder seems to hold a shared model, even damaged."""
  if os.path.exists(os.path.join(path, params_file.FILE)):
    return True
  config = os.path.join(path, record.FILE)
  try:
    found = json_file.load(config)
  except (OSError, ValueError):
    return False
  return isinstance(found, dict) and "library_name" in found
