"""What two encoders cannot hold of a trained model, as one safetensors file.

`rest.safetensors` beside exported encoders holds every parameter that neither
has a place for - the relation head, the position tables of the crops - under
its path here. In its metadata are the model's whole config and, where they are
known, the names of the head's relations. With it, what was exported converts
back to the very same model.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ifa_jax.convert import sources
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown
from ifa_jax.models import registry
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig

FILE = "rest.safetensors"
_KEY = "ifa_jax.model"
_RELATIONS = "ifa_jax.relations"


def write_rest(
  path: str,
  config: ModelConfig,
  arrays: Mapping[str, np.ndarray],
  relations: Sequence[str] | None = None,
) -> None:
  """Writes parameters by path, and the config of the model they belong to.

  Args:
    path: of the file.
    config: of the model.
    arrays: path -> parameter.
    relations: names by id, or None if they are not known.
  """
  import safetensors.numpy

  metadata = {_KEY: json.dumps(registry.to_dict(config))}
  if relations is not None:
    metadata[_RELATIONS] = json.dumps([*relations], ensure_ascii=False)
  safetensors.numpy.save_file(dict(arrays), path, metadata)


def read_rest(
  path: str | os.PathLike,
) -> tuple[System, dict[str, np.ndarray], list[str] | None]:
  """Reads what `write_rest` wrote: config, parameters and relations.

  Raises:
    ValueError: for another file or none, naming it.
  """
  import safetensors

  path = os.fspath(path)
  arrays = sources.read_weights(path)
  with safetensors.safe_open(path, "numpy") as file:
    metadata = file.metadata() or {}
  if _KEY not in metadata:
    raise ValueError(
      f"{path}: want the {FILE} of an export, found no {_KEY} in its metadata"
    )
  config = registry.from_dict(json_file.parse(metadata[_KEY], path))
  relations = json_file.parse(metadata.get(_RELATIONS, "null"), path)
  if not isinstance(relations, list | None):
    raise ValueError(
      f"{path}: {_RELATIONS}: expected a list of names, got {shown(relations)}"
    )
  return config, arrays, relations


def check_same(config: System, side: str, read: Any, where: str) -> None:
  """Checks that an encoder is the one that a rest belongs to.

  Args:
    config: the rest's.
    side: "text" or "vision".
    read: the encoder's `TextConfig` or `VisionConfig`.
    where: its name, for the error.

  Raises:
    ValueError: naming the first field that differs.
  """
  wanted = getattr(config, side)
  if wanted is None:
    raise ValueError(f"{where}: want no {side} encoder, the rest has none")
  for field in dataclasses.fields(wanted):
    want, found = getattr(wanted, field.name), getattr(read, field.name)
    # No encoder knows of crops.
    if want != found and "crop" not in field.name:
      raise ValueError(
        f"{where}: want {field.name} {want!r} as the rest has it, found"
        f" {found!r}"
      )
