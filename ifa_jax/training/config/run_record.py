"""The config that a run's folder records: `config.json`."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ifa_jax.training.config.run_config import RANDOM, RunConfig
from ifa_jax.workdir.run_folder import RunFolder


def read(folder: RunFolder) -> RunConfig:
  """Returns the resolved config of a run.

  Raises:
    ValueError: if the folder holds no run, or one of a later version.
  """
  return parse(folder.read_record()["config"], folder.file("config.json"))


def parse(settings: Mapping[str, Any], where: str) -> RunConfig:
  """Reads the settings that a run recorded, which may be an older one.

  Args:
    settings: nested plain values.
    where: the file, for errors.

  Raises:
    ValueError: for settings that this version does not know.
  """
  try:
    config = RunConfig.from_dict(settings)
  except (KeyError, ValueError) as error:
    raise ValueError(f"{where}: {error.args[0]}") from None
  # Older runs from random values have no `weights`, and those of a model
  # without encoders may have a folder.
  if config.model.text is None:
    return dataclasses.replace(config, weights=None)
  return dataclasses.replace(config, weights=config.weights or RANDOM)


def claim(
  folder: RunFolder,
  config: RunConfig,
  dataset: Mapping[str, Any],
  describe_start: Callable[[], Mapping[str, Any]] = dict,
) -> None:
  """Writes `config.json`, or checks that the folder holds this very run.

  Args:
    folder: of the run.
    config: resolved, with all sizes of the model.
    dataset: metadata of the prepared dataset.
    describe_start: returns further entries of a new `config.json`.

  Raises:
    ValueError: as `RunFolder.claim`.
  """
  where = folder.file("config.json")
  folder.claim(
    config.to_dict(),
    dataset,
    describe_start,
    lambda settings: parse(settings, where).to_dict(),
  )
