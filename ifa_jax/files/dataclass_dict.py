"""Dataclasses of settings from and to nested dicts of plain values.

Strict both ways: an unknown key or a value of another type is an error, and
what `to_dict` returns reads back equal.
"""

# A value may be of any type before it is read.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class UnknownSettingError(KeyError, ValueError):
  """A key that no setting has; the only KeyError that is a user's mistake."""

  def __str__(self) -> str:
    """Returns the message; a KeyError shows it in quotes."""
    return str(self.args[0])


def to_dict(settings: Any) -> dict[str, Any]:
  """Returns a dataclass as nested dicts of plain values, tuples as lists."""

  def as_lists(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in pairs}

  return dataclasses.asdict(settings, dict_factory=as_lists)


def from_dict(kind: type[T], settings: Mapping[str, Any], where: str = "") -> T:
  """Returns the dataclass that nested dicts hold.

  Args:
    kind: the dataclass.
    settings: fields that are left out take their defaults; a value may be an
      object of the declared class already.
    where: name of the section, for errors; empty for the outermost.

  Raises:
    UnknownSettingError: for a key that is no field; names the nearest one.
    ValueError: for a value of another type, or as the dataclass itself does.
  """
  check_keys(kind, settings, where)
  declared = typing.get_type_hints(kind)
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


def check_choice(name: str, found: str, wanted: tuple[str, ...]) -> None:
  """Raises ValueError unless a setting is one of the choices.

  Args:
    name: of the setting, such as "model.dtype".
    found: its value.
    wanted: the choices.
  """
  if found not in wanted:
    raise ValueError(
      f"{name}: want one of {', '.join(wanted)}, found {found!r}"
    )


def _read(declared: Any, value: Any, where: str) -> Any:
  """Reads the value of a field as the first declared type that it fits."""
  is_union = typing.get_origin(declared) in (typing.Union, types.UnionType)
  options = typing.get_args(declared) if is_union else (declared,)
  for option in options:
    is_section = isinstance(option, type) and dataclasses.is_dataclass(option)
    if is_section and isinstance(value, Mapping):
      return from_dict(option, value, where)
    if _fits(option, value):
      return _convert(option, value, where)
  names = " or ".join(_name(option) for option in options)
  raise ValueError(f"{where}: expected {names}, got {value!r}")


def _fits(declared: Any, value: Any) -> bool:
  arguments = typing.get_args(declared)
  match typing.get_origin(declared) or declared:
    case typing.Any:
      return True
    case origin if origin is tuple:
      if not isinstance(value, list | tuple):
        return False
      if arguments[1:] == (...,):
        return all(_fits(arguments[0], x) for x in value)
      return len(value) == len(arguments) and all(map(_fits, arguments, value))
    case origin if origin in (int, float):
      # A bool is an int to Python, and 1 is a float to whoever writes it.
      accepted = (int, float) if origin is float else int
      return isinstance(value, accepted) and not isinstance(value, bool)
    case origin:
      return isinstance(value, origin)


def _convert(declared: Any, value: Any, where: str) -> Any:
  match typing.get_origin(declared) or declared:
    case origin if origin is tuple:
      return tuple(value)
    case _ if isinstance(value, Mapping):
      _, inside = typing.get_args(declared) or (str, Any)
      return {k: _read(inside, v, _join(where, k)) for k, v in value.items()}
    case _:
      return value


def _name(declared: Any) -> str:
  if declared is types.NoneType:
    return "None"
  return declared.__name__ if isinstance(declared, type) else str(declared)


def _join(where: str, key: Any) -> str:
  return f"{where}.{key}" if where else str(key)
