"""The parameters of a model that two encoders cannot hold, in one file.

`rest.safetensors` of an export has the relation head, the position tables of
the crops and all other parameters that neither encoder has, by path. Its
metadata has the model's config and the names of the head's relations if they
are known. With it, an export converts back to the same model.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ifa_jax.convert import sources
from ifa_jax.convert.sources import Source
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown
from ifa_jax.models import registry
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig

FILE = "rest.safetensors"
_MODEL, _RELATIONS = "ifa_jax.model", "ifa_jax.relations"


def write_rest(
  path: str,
  config: ModelConfig,
  arrays: Mapping[str, np.ndarray],
  relations: Sequence[str] | None = None,
) -> None:
  """Writes path -> parameter, the model's config and its relations by id."""
  import safetensors.numpy

  metadata = {_MODEL: json.dumps(registry.to_dict(config))}
  if relations is not None:
    metadata[_RELATIONS] = json.dumps([*relations], ensure_ascii=False)
  safetensors.numpy.save_file(dict(arrays), path, metadata)


def read_rest(
  path: str | os.PathLike,
) -> tuple[System, dict[str, np.ndarray], list[str] | None]:
  """Reads the config, parameters and relations that `write_rest` wrote.

  Raises:
    ValueError: if it is another file, or missing, naming it.
  """
  import safetensors

  path = os.fspath(path)
  arrays = sources.read_weights(path)
  with safetensors.safe_open(path, "numpy") as file:
    metadata = file.metadata() or {}
  if _MODEL not in metadata:
    raise ValueError(
      f"{path}: expected the {FILE} of an export, got no {_MODEL} in its"
      " metadata"
    )
  config = registry.from_dict(json_file.parse(metadata[_MODEL], path))
  relations = json_file.parse(metadata.get(_RELATIONS, "null"), path)
  if not isinstance(relations, list | None):
    raise ValueError(
      f"{path}: {_RELATIONS}: expected a list of names, got {shown(relations)}"
    )
  return config, arrays, relations


def check_same(config: System, side: str, read: Any, source: Source) -> None:
  """Checks that an encoder belongs to a rest.

  Args:
    config: the rest's.
    side: "text" or "vision".
    read: the encoder's `TextConfig` or `VisionConfig`.
    source: the encoder, for the error.

  Raises:
    ValueError: naming the first field that differs.
  """
  expected = getattr(config, side)
  if expected is None:
    raise ValueError(
      f"{source.folder}: expected no {side} encoder, as the rest has none"
    )
  for name, value in dataclasses.asdict(expected).items():
    # An encoder's files do not mention crops.
    if value != (found := getattr(read, name)) and "crop" not in name:
      raise ValueError(
        f"{source.folder}: expected {name} {value!r} as in the rest, got"
        f" {found!r}"
      )
