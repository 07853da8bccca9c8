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
  """A key of a file."""

  # Returns the value, or raises ValueError with the expected ones.
  check: Callable[[Any], Any]
  field: str | None = None  # Of the model's config, if it has one.


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


def check(
  expected: str, is_valid: Callable[[Any], bool]
) -> Callable[[Any], Any]:
  """Returns a function that returns valid values and raises for others."""

  def checked(value: Any) -> Any:
    if not is_valid(value):
      raise ValueError(expected)
    return value

  return checked


def only(expected: Any) -> Setting:
  """Returns a setting of which one value is supported."""
  return Setting(check(repr(expected), lambda x: x == expected))


count = check("a whole number from 1", lambda x: type(x) is int and x >= 1)
positive = check("a number above 0", lambda x: json_file.is_finite(x) and x > 0)
rate = check(
  "a number from 0 to below 1", lambda x: json_file.is_finite(x) and 0 <= x < 1
)
activation = check(
  f"one of {', '.join(transformer.ACTIVATIONS)}",
  lambda x: isinstance(x, str) and x in transformer.ACTIVATIONS,
)


def switch(value: Any) -> bool:
  """Returns a switch; null is off, whatever the default."""
  if not isinstance(value, bool | None):
    raise ValueError("true or false")
  return bool(value)


def side(value: Any) -> int:
  """Returns the side of a square: a number, or equal height and width."""
  sides = value if isinstance(value, list) else [value]
  if len(sides) not in (1, 2) or sides[0] != sides[-1]:
    raise ValueError("the side of a square")
  return count(sides[0])


def section(value: Any) -> Config:
  """Returns an object; null is an empty one, as in transformers."""
  if not isinstance(value, dict | None):
    raise ValueError("an object")
  return value or {}
