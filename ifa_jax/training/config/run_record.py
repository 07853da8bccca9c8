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
  """Reads the settings that a run recorded, maybe with an older version.

  Raises:
    ValueError: for settings that this version does not know.
  """
  try:
    config = RunConfig.from_dict(settings)
  except (KeyError, ValueError) as error:
    raise ValueError(f"{where}: {error.args[0]}") from None
  # Older runs from random values have no `weights`, and those of a model
  # without encoders may name a folder.
  weights = None if config.model.text is None else config.weights or RANDOM
  return dataclasses.replace(config, weights=weights)


def claim(
  folder: RunFolder,
  config: RunConfig,
  dataset: Mapping[str, Any],
  describe_start: Callable[[], Mapping[str, Any]] = dict,
) -> None:
  """Calls `RunFolder.claim` for a resolved config with all sizes."""
  folder.claim(config.to_dict(), dataset, describe_start, _reader(folder))


def check(
  folder: RunFolder, config: RunConfig, dataset: Mapping[str, Any]
) -> None:
  """Calls `RunFolder.check` for a resolved config with all sizes."""
  folder.check(config.to_dict(), dataset, _reader(folder))


def _reader(
  folder: RunFolder,
) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
  """Converts recorded settings to those of this version."""
  where = folder.file("config.json")
  return lambda settings: parse(settings, where).to_dict()
