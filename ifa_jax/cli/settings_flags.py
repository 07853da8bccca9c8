"""Flags that are declared once, as the fields of a settings dataclass.

@dataclasses.dataclass(frozen=True)
class Settings:
  raw_dir: str = setting("The tree as published.")
  limit: int | None = setting("Rows to read.", None, least=1)
"""

import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any

from absl import flags

# absl lists a flag under the module that defines it: here, the caller.
flags.disclaim_key_flags()

_REQUIRED = dataclasses.MISSING


def setting(
  meaning: str,
  default: Any = _REQUIRED,
  *,
  choices: Sequence[str] = (),
  least: int | None = None,
) -> Any:
  """Returns a dataclass field for `define`.

  Args:
    meaning: the flag's help.
    default: without one, the flag is required.
    choices: the allowed values of a text, or of the texts of a list.
    least: the lower bound of a number, or of the numbers of a list.
  """
  metadata = {"meaning": meaning, "choices": choices, "least": least}
  return dataclasses.field(default=default, metadata=metadata)


def define(settings: type) -> None:
  """Defines one flag for each field of a dataclass of `setting`s."""
  hints = typing.get_type_hints(settings)
  for field in dataclasses.fields(settings):
    required = field.default is _REQUIRED
    name, meaning = field.name, field.metadata["meaning"]
    default: Any = None if required else field.default
    options: dict[str, Any] = {"required": required}
    kind = _without_none(hints[name])
    choices = field.metadata["choices"]
    if items := typing.get_args(kind):
      options["serializer"] = flags.CsvListSerializer(",")
      meaning += f" Some of {', '.join(choices)}." if choices else ""
      parser = _ListParser(items[0], choices, field.metadata["least"])
      flags.DEFINE(parser, name, default, meaning, **options)
    elif choices:
      flags.DEFINE_enum(name, default, choices, meaning, **options)
    elif kind is int:
      options["lower_bound"] = field.metadata["least"]
      flags.DEFINE_integer(name, default, meaning, **options)
    elif kind is float:
      options["lower_bound"] = field.metadata["least"]
      flags.DEFINE_float(name, default, meaning, **options)
    elif kind is bool:
      flags.DEFINE_bool(name, default, meaning, **options)
    else:
      flags.DEFINE_string(name, default, meaning, **options)


class _ListParser(flags.ListParser):
  """Parses a list with commas between the values."""

  def __init__(self, kind: type, choices: Sequence[str], least: int | None):
    super().__init__()
    self._item: Any = None
    if kind is int:
      self._item = flags.IntegerParser(lower_bound=least)
    elif choices:
      self._item = flags.EnumParser(choices)

  def parse(self, argument: Any) -> Any:
    """Returns the values; a list of numbers or choices is not empty."""
    if isinstance(argument, tuple):
      return argument
    words = super().parse(argument)
    if self._item is None:
      return words
    if not words:
      raise ValueError("expected at least one value, got none")
    return tuple(map(self._item.parse, words))


def _without_none(hint: Any) -> Any:
  """Returns `int` for `int | None`."""
  if isinstance(hint, types.UnionType):
    hint, *_ = (x for x in typing.get_args(hint) if x is not types.NoneType)
  return hint
