"""The ConfigDict that all config files start from."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from ml_collections import config_dict

from ifa_jax.models.base import AUTO_DTYPE, System
from ifa_jax.training.config.run_config import RunConfig

# Published encoders, by their hub ids.
BERT_BASE, BERT_LARGE = "bert-base-uncased", "bert-large-uncased"
CLIP_BASE = "openai/clip-vit-base-patch32"
CLIP_LARGE = "openai/clip-vit-large-patch14"


def base() -> config_dict.ConfigDict:
  """Returns IFAformer with visual objects on MNRE, unlocked.

  `RunConfig` documents the settings. Every config with encoders must set
  `weights`.
  """
  config = _section(RunConfig())
  config.model = model_section(RunConfig().model)
  return config


def model_section(model: System) -> config_dict.ConfigDict:
  """Returns a model as a config section; flags can change every setting."""
  section = config_dict.ConfigDict({"system": model.system})
  section.update(_section(model))
  if "dtype" in section:
    section.dtype = AUTO_DTYPE
  if model.presets and getattr(model, model.presets.field) is None:
    # None takes the preset; a value overrides it.
    section[model.presets.field] = {
      field.name: config_dict.placeholder(field.type)
      for field in dataclasses.fields(model.presets.kind)
    }
  return section


def _section(settings: Any) -> config_dict.ConfigDict:
  declared = typing.get_type_hints(type(settings))
  return config_dict.ConfigDict(
    {
      field.name: _open(declared[field.name], getattr(settings, field.name))
      for field in dataclasses.fields(settings)
    }
  )


def _open(declared: Any, value: Any) -> Any:
  """Returns a value of a section; a None accepts values of its other type."""
  if dataclasses.is_dataclass(value):
    return _section(value)
  if isinstance(value, Mapping):
    return {key: _open(Any, entry) for key, entry in value.items()}
  if value is not None:
    return value
  kinds = {*typing.get_args(declared)} - {types.NoneType}
  plain = kinds & {int, float, str}
  return config_dict.placeholder(*plain) if plain else None
