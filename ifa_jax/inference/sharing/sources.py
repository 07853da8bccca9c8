"""Opens a trained model, wherever it is."""

import os

from ifa_jax.inference.sharing import shared_model
from ifa_jax.inference.sharing.run_model import RunModel
from ifa_jax.inference.sharing.shared_model import SharedModel
from ifa_jax.workdir.run_folder import RunFolder


def open_folder(path: str | os.PathLike) -> RunModel | SharedModel:
  """Opens the model in a run's folder or in a shared folder.

  Raises:
    ValueError: if the folder holds neither, or a damaged one.
  """
  if shared_model.is_shared(path):
    return SharedModel(path)
  return RunModel(RunFolder(path))
