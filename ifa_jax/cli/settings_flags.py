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
    choices: the allowed values of a text.
    least: the lower bound of a whole number.
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
    if choices := field.metadata["choices"]:
      flags.DEFINE_enum(name, default, choices, meaning, **options)
    elif kind is int:
      options["lower_bound"] = field.metadata["least"]
      flags.DEFINE_integer(name, default, meaning, **options)
    elif kind is float:
      flags.DEFINE_float(name, default, meaning, **options)
    elif kind is bool:
      flags.DEFINE_bool(name, default, meaning, **options)
    elif kind is str:
      flags.DEFINE_string(name, default, meaning, **options)
    else:
      flags.DEFINE_list(name, default, meaning, **options)


def _without_none(hint: Any) -> Any:
  """Returns `int` for `int | None`."""
  if isinstance(hint, types.UnionType):
    hint, *_ = (x for x in typing.get_args(hint) if x is not types.NoneType)
  return hint
