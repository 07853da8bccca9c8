"""Checks the settings of transformers' JSON files by tables.

Keys that are in no table have no effect on the numbers that are computed here.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ifa_jax.files import json_file
from ifa_jax.files.shown import shown
from ifa_jax.models.layers import transformer

Config = Mapping[str, Any]


class Setting(NamedTuple):
  """A key of a file.

  Attributes:
    check: returns the value, or raises ValueError with the expected ones.
    field: of the model's config, or None.
  """

  check: Callable[[Any], Any]
  field: str | None = None


def read(table: Mapping[str, Setting], config: Config) -> dict[str, Any]:
  """Returns key -> value of the keys in a table that a file has.

  Raises:
    ValueError: for a value that is invalid or not supported, naming its key.
  """
  found = {}
  for key, setting in table.items():
    if key not in config:
      continue
    try:
      found[key] = setting.check(config[key])
    except ValueError as error:
      raise ValueError(
        f"{key}: expected {error}, got {shown(config[key])}"
      ) from None
  return found


def only(expected: Any) -> Setting:
  """Returns a setting of which one value is supported."""

  def check(value: Any) -> Any:
    if value != expected:
      raise ValueError(repr(expected))
    return value

  return Setting(check)


def count(value: Any) -> int:
  """Returns an integer of 1 or more."""
  if type(value) is not int or value < 1:
    raise ValueError("a whole number from 1")
  return value


def positive(value: Any) -> float:
  """Returns a number above 0."""
  if not json_file.is_finite(value) or value <= 0:
    raise ValueError("a number above 0")
  return value


def rate(value: Any) -> float:
  """Returns a dropout rate."""
  if not json_file.is_finite(value) or not 0 <= value < 1:
    raise ValueError("a number from 0 to below 1")
  return value


def side(value: Any) -> int:
  """Returns the side of a square: a number, or equal height and width."""
  sides = value if isinstance(value, list) else [value]
  if len(sides) not in (1, 2) or sides[0] != sides[-1]:
    raise ValueError("the side of a square")
  return count(sides[0])


def activation(value: Any) -> str:
  """Returns the name of an activation that the model has."""
  if not isinstance(value, str) or value not in transformer.ACTIVATIONS:
    raise ValueError(f"one of {', '.join(transformer.ACTIVATIONS)}")
  return value


def section(value: Any) -> Config:
  """Returns an object; null is an empty one, as in transformers."""
  if not isinstance(value, dict | None):
    raise ValueError("an object")
  return value or {}
