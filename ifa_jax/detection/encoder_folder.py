"""The encoder of objects that a shared model brings.

`region_encoder/` in a shared folder holds

    config.json         of the model that the encoder is the visual stream of
    model.safetensors   parameters of the visual stream, see `tensors`
"""

import os
from collections.abc import Mapping
from typing import Any

from ifa_jax.files import json_file, params_file
from ifa_jax.models import parameters, registry
from ifa_jax.models.config import ModelConfig
from ifa_jax.workdir.run_folder import RunFolder

FOLDER = "region_encoder"
_CONFIG = "config.json"


def is_encoder(folder: str | os.PathLike) -> bool:
  """Returns whether a folder holds an encoder as `write` writes it."""
  return os.path.isfile(os.path.join(folder, params_file.FILE))


def write(
  folder: str | os.PathLike, config: ModelConfig, visual: Mapping[str, Any]
) -> None:
  """Writes a new folder with an encoder.

  Args:
    folder: is created.
    config: of the model.
    visual: parameters of its visual stream, nested dicts of arrays.
  """
  os.mkdir(folder)
  RunFolder(folder).write_json(_CONFIG, registry.to_dict(config))
  params_file.write(os.path.join(folder, params_file.FILE), visual)


def read(
  folder: str | os.PathLike,
) -> tuple[ModelConfig, dict[str, Any]]:
  """Reads what `write` wrote.

  Returns:
    The model's config, and the parameters of its visual stream as nested dicts
    of float32 arrays.

  Raises:
    ValueError: if a file is damaged or there is no visual stream; names it.
  """
  path = os.path.join(folder, _CONFIG)
  try:
    config = registry.from_dict(json_file.load(path))
  except (OSError, KeyError, TypeError, AttributeError) as error:
    raise ValueError(
      f"{path}: expected the settings of a model, got others ({error})"
    ) from None
  if not isinstance(config, ModelConfig) or config.vision is None:
    raise ValueError(
      f"{path}: expected a model with a visual stream, got {config.system!r}"
      " without"
    )
  like = parameters.abstract_params(config)["visual"]
  return config, params_file.read(os.path.join(folder, params_file.FILE), like)
