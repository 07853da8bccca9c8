"""What two encoders cannot hold of a trained model, as one safetensors file.

`rest.safetensors` beside exported encoders holds every parameter that neither
has a place for - the relation head, the position tables of the crops - under
its path here, and the model's whole config in its metadata. With it, what was
exported converts back to the very same model.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ifa_jax.convert import sources
from ifa_jax.models import registry
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig

FILE = "rest.safetensors"
_KEY = "ifa_jax.model"


def write_rest(
  path: str, config: ModelConfig, arrays: Mapping[str, np.ndarray]
) -> None:
  """Writes parameters by path, and the config of the model they belong to."""
  import safetensors.numpy

  metadata = {_KEY: json.dumps(registry.to_dict(config))}
  safetensors.numpy.save_file(dict(arrays), path, metadata)


def read_rest(
  path: str | os.PathLike,
) -> tuple[System, dict[str, np.ndarray]]:
  """Reads what `write_rest` wrote.

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
  return registry.from_dict(json.loads(metadata[_KEY])), arrays


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
