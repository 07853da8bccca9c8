"""Dataclasses of settings from and to nested dicts of plain values.

Strict in both directions: an unknown key, a value of another type or a number
out of its `Range` is an error, and `from_dict` reads the result of `to_dict`
back equal.
"""

# A value may be of any type before it is checked.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Range:
  """The numbers that a field of type `Annotated[float, Range(...)]` may have.

  Attributes:
    least: the smallest.
    most: the largest.
    below: larger than all of them.
  """

  least: float
  most: float = math.inf
  below: float = math.inf

  def __contains__(self, value: float) -> bool:
    """Returns whether a number is in the range; NaN is in none."""
    return self.least <= value <= self.most and value < self.below

  def __str__(self) -> str:
    """Returns "at least 1", "at least 0 and at most 1"."""
    parts = [f"at least {self.least}"]
    parts += [f"at most {self.most}"] * math.isfinite(self.most)
    parts += [f"below {self.below}"] * math.isfinite(self.below)
    return " and ".join(parts)


Count = Annotated[int, Range(1)]
CountOrZero = Annotated[int, Range(0)]
NonNegative = Annotated[float, Range(0)]
Fraction = Annotated[float, Range(0, most=1)]
# Of dropout, which divides by the probability to keep; or of a running mean.
Rate = Annotated[float, Range(0, below=1)]
# JAX keys are of 32 bits: larger seeds would repeat smaller ones.
Seed = Annotated[int, Range(0, below=2**32)]


class UnknownSettingError(KeyError, ValueError):
  """A key that is no setting; the only KeyError that is a user's mistake."""

  def __str__(self) -> str:
    """Returns the message; a KeyError would quote it."""
    return str(self.args[0])


def to_dict(settings: Any) -> dict[str, Any]:
  """Returns a dataclass as nested dicts of plain values, tuples as lists."""

  def as_lists(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in pairs}

  return dataclasses.asdict(settings, dict_factory=as_lists)


def from_dict(kind: type[T], settings: Mapping[str, Any], where: str = "") -> T:
  """Returns a dataclass with the values of nested dicts, or its defaults.

  A value may already be an object of the declared class. `where` is the name of
  the section, for errors; empty for the outermost.

  Raises:
    UnknownSettingError: for a key that is no field; names the nearest one.
    ValueError: for a value of another type or out of its range, or raised by
      the dataclass.
  """
  check_keys(kind, settings, where)
  declared = typing.get_type_hints(kind, include_extras=True)
  return kind(
    **{
      key: _read(declared[key], value, _join(where, key))
      for key, value in settings.items()
    }
  )


def check_keys(kind: type, settings: Mapping[str, Any], where: str) -> None:
  """Raises UnknownSettingError for a key that is no field of a dataclass."""
  fields = [field.name for field in dataclasses.fields(kind)]
  for key in settings:
    if key not in fields:
      near = difflib.get_close_matches(str(key), fields, n=1)
      hint = f"; did you mean {_join(where, near[0])}?" if near else ""
      raise UnknownSettingError(f"{_join(where, key)}: no such setting{hint}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
  """Raises ValueError unless the setting `name` is one of the choices."""
  if value not in choices:
    raise ValueError(
      f"{name}: expected one of {', '.join(choices)}, got {value!r}"
    )


def _read(declared: Any, value: Any, where: str) -> Any:
  """Returns a field's value as the first declared type that it fits."""
  is_union = typing.get_origin(declared) in (typing.Union, types.UnionType)
  options = typing.get_args(declared) if is_union else (declared,)
  for annotated in options:
    option, limits = _without_range(annotated)
    origin = typing.get_origin(option) or option
    if isinstance(value, Mapping) and dataclasses.is_dataclass(option):
      return from_dict(typing.cast(type, option), value, where)
    if not _fits(option, value):
      continue
    if origin is tuple:
      return tuple(value)
    if isinstance(value, Mapping):
      _, inside = typing.get_args(option) or (str, Any)
      return {k: _read(inside, v, _join(where, k)) for k, v in value.items()}
    if limits and value not in limits:
      raise ValueError(f"{where}: expected {limits}, got {value!r}")
    return value
  plain = [_without_range(option)[0] for option in options]
  names = [x.__name__ if isinstance(x, type) else str(x) for x in plain]
  expected = " or ".join(names).replace("NoneType", "None")
  raise ValueError(f"{where}: expected {expected}, got {value!r}")


def _without_range(declared: Any) -> tuple[Any, Range | None]:
  """Returns a declared type and the range that annotates it."""
  if typing.get_origin(declared) is not Annotated:
    return declared, None
  kind, limits = typing.get_args(declared)
  return kind, limits


def _fits(declared: Any, value: Any) -> bool:
  arguments = typing.get_args(declared)
  origin = typing.get_origin(declared) or declared
  if origin is Any:
    return True
  if origin is tuple:
    if not isinstance(value, list | tuple):
      return False
    if arguments[1:] == (...,):
      return all(_fits(arguments[0], x) for x in value)
    return len(value) == len(arguments) and all(map(_fits, arguments, value))
  if origin in (int, float):
    # A bool is an int in Python, and a float may be written as 1.
    accepted = (int, float) if origin is float else int
    return isinstance(value, accepted) and not isinstance(value, bool)
  return isinstance(value, origin)


def _join(where: str, key: Any) -> str:
  return f"{where}.{key}" if where else str(key)
