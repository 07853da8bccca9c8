"""Options of a conversion from Python, checked as flags are."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from ifa_jax.files import dataclass_dict

T = TypeVar("T")


def read(kind: type[T], given: Mapping[str, Any]) -> T:
  """Returns a dataclass of `setting`s with some values, or its defaults.

  Raises:
    UnknownSettingError: for a name that is no option; names the nearest one.
    ValueError: for a value of another type, below the least one, or that is no
      choice.
  """
  options: Any = dataclass_dict.from_dict(kind, given)
  for field in dataclasses.fields(options):
    value, least = getattr(options, field.name), field.metadata["least"]
    if None not in (value, least) and value < least:
      raise ValueError(f"{field.name}: expected at least {least}, got {value}")
    choices = field.metadata["choices"]
    if choices and isinstance(value, str):
      dataclass_dict.check_choice(field.name, value, choices)
  return options
