"""A model's config from and to plain nested dicts, as configs and runs hold it.

Strict both ways: an unknown key is an error, and what is written reads back
equal.
"""

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from typing import Any

from ifa_jax.models.base import System
from ifa_jax.models.config import FUSIONS, Exchange, ModelConfig
from ifa_jax.models.registry import SYSTEMS


def to_dict(config: System) -> dict[str, Any]:
  """Returns the config as nested dicts of plain values, tuples as lists."""
  as_lists = lambda pairs: {  # noqa: E731
    key: list(value) if isinstance(value, tuple) else value
    for key, value in pairs
  }
  return {"system": config.system} | dataclasses.asdict(
    config, dict_factory=as_lists
  )


def from_dict(settings: Mapping[str, Any]) -> System:
  """Returns the config that `to_dict`, or a section of a config file, holds.

  `system` chooses the architecture, IFAformer if it is left out. Fields that
  are left out take their defaults. Fields of IFAformer's `exchange` that are
  left out or None take the preset of `fusion`.

  Raises:
    KeyError: for a key that is no field, naming it and the nearest one.
    ValueError: for an unknown system, or as its config does.
  """
  settings = {**settings}
  system = settings.pop("system", ModelConfig.system)
  if system not in SYSTEMS:
    raise ValueError(
      f"model.system: want one of {', '.join(SYSTEMS)}, found {system!r}"
    )
  kind, _ = SYSTEMS[system]
  if kind is ModelConfig:
    settings["exchange"] = _read_exchange(settings)
  return _read(kind, settings, "model")


def _read_exchange(settings: Mapping[str, Any]) -> Exchange | None:
  """Returns the departures from a fusion's preset, None without any."""
  exchange = settings.get("exchange") or {}
  _check_keys(Exchange, exchange, "model.exchange")
  departures = {k: v for k, v in exchange.items() if v is not None}
  # ModelConfig refuses an unknown fusion.
  preset = FUSIONS.get(settings.get("fusion", "paper"))
  if not departures or not preset:
    return None
  departed = dataclasses.replace(preset, **departures)
  return None if departed == preset else departed


def _read(kind: type, settings: Mapping[str, Any], where: str) -> Any:
  _check_keys(kind, settings, where)
  types = typing.get_type_hints(kind)
  return kind(
    **{
      key: _read_value(types[key], value, f"{where}.{key}")
      for key, value in settings.items()
    }
  )


def _read_value(declared: Any, value: Any, where: str) -> Any:
  """Reads a section as the dataclass that its field is declared to hold."""
  if isinstance(value, Mapping):
    kinds = typing.get_args(declared) or (declared,)
    return _read(next(filter(dataclasses.is_dataclass, kinds)), value, where)
  return tuple(value) if isinstance(value, list) else value


def _check_keys(kind: type, settings: Mapping[str, Any], where: str) -> None:
  fields = [field.name for field in dataclasses.fields(kind)]
  for key in settings:
    if key not in fields:
      near = difflib.get_close_matches(key, fields, n=1)
      hint = f"; did you mean {where}.{near[0]}?" if near else ""
      raise KeyError(f"{where}.{key}: no such setting{hint}")
