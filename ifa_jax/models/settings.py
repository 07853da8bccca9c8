"""A model's config from and to plain nested dicts, as configs and runs hold it.

Strict both ways: an unknown key is an error, and what is written reads back
equal.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from ifa_jax.models.config import (
  FUSIONS,
  Exchange,
  ModelConfig,
  TextConfig,
  VisionConfig,
)

_NESTED = {"text": TextConfig, "vision": VisionConfig, "exchange": Exchange}


def to_dict(config: ModelConfig) -> dict[str, Any]:
  """Returns the config as nested dicts of plain values, tuples as lists."""
  as_lists = lambda pairs: {  # noqa: E731
    key: list(value) if isinstance(value, tuple) else value
    for key, value in pairs
  }
  return dataclasses.asdict(config, dict_factory=as_lists)


def from_dict(settings: Mapping[str, Any]) -> ModelConfig:
  """Returns the config that `to_dict`, or a section of a config file, holds.

  Fields that are left out take their defaults. Fields of `exchange` that are
  left out or None take the preset of `fusion`.

  Raises:
    KeyError: for a key that is no field, naming it and the nearest one.
    ValueError: as `ModelConfig` does.
  """
  settings = {**settings}
  nested = {}
  for name in ("text", "vision"):
    if settings.get(name) is not None:
      nested[name] = _read(_NESTED[name], settings.pop(name), f"model.{name}")
  exchange = settings.pop("exchange", None) or {}
  _check_keys(Exchange, exchange, "model.exchange")
  departures = {k: v for k, v in exchange.items() if v is not None}
  # ModelConfig refuses an unknown fusion, below.
  preset = FUSIONS.get(settings.get("fusion", "paper"))
  if departures and preset:
    exchange = dataclasses.replace(preset, **departures)
    nested["exchange"] = None if exchange == preset else exchange
  return _read(ModelConfig, settings | nested, "model")


def _read(kind: type, settings: Mapping[str, Any], where: str) -> Any:
  _check_keys(kind, settings, where)
  return kind(
    **{
      key: tuple(value) if isinstance(value, list) else value
      for key, value in settings.items()
    }
  )


def _check_keys(kind: type, settings: Mapping[str, Any], where: str) -> None:
  fields = [field.name for field in dataclasses.fields(kind)]
  for key in settings:
    if key not in fields:
      near = difflib.get_close_matches(key, fields, n=1)
      hint = f"; did you mean {where}.{near[0]}?" if near else ""
      raise KeyError(f"{where}.{key}: no such setting{hint}")
