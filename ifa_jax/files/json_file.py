"""Reads JSON of any origin: a value, or an error of one line that names it.

A key that an object has twice is an error: Python alone takes the last.
"""

import codecs
import collections
import functools
import json
import os
import re
from typing import Any

import numpy as np

from ifa_jax.files.shown import shown

# What is read is kept as float32.
_MOST = float(np.finfo(np.float32).max)
# A string, to be passed over, or a name that only Python takes for JSON.
_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)')


class RepeatedKey(ValueError):
  """A key is in an object more than once."""


def load(path: str | os.PathLike[str]) -> Any:
  """Returns the value in a file.

  Raises:
    ValueError: if it is not JSON in UTF-8, has a key twice in an object, or is
      nested too deeply; names the file, and the place in it.
    OSError: if it cannot be opened.
  """
  with open(path, "rb") as file:
    return parse(file.read(), os.fspath(path))


def parse(text: bytes | str, where: str, strict: bool = False) -> Any:
  """Returns the value of a JSON text.

  Args:
    text: UTF-8 where it is bytes, with or without a byte order mark.
    where: its place, for errors.
    strict: whether NaN and Infinity, which Python takes for JSON, are errors.

  Raises:
    ValueError: as `load`.
  """
  try:
    text = _decode(text) if isinstance(text, bytes) else text
    refuse = functools.partial(_refuse, text) if strict else None
    return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
  except RepeatedKey as error:
    raise RepeatedKey(f"{where}: {error}") from None
  except json.JSONDecodeError as error:
    raise ValueError(f"{where}: not JSON: {_reason(error)}") from None
  except (ValueError, RecursionError) as error:
    raise ValueError(f"{where}: not JSON: {error}") from None


def is_finite(value: Any) -> bool:
  """Tells finite numbers from everything else that JSON holds."""
  is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
  return is_number and -_MOST <= value <= _MOST


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  """Returns an object of its keys and values: `json`'s `object_pairs_hook`.

  Raises:
    RepeatedKey: if a key is there more than once; names it.
  """
  found = dict(pairs)
  if len(found) < len(pairs):
    counts = collections.Counter(key for key, _ in pairs)
    (key, count), *_ = counts.most_common(1)
    raise RepeatedKey(
      f"expected each key of an object once, got {shown(key)} {count} times"
    )
  return found


def _reason(error: json.JSONDecodeError) -> str:
  """Returns what was wrong and where, the line where there are several."""
  at_end = " where the text ends" if not error.doc[error.pos :].strip() else ""
  line = f"line {error.lineno}, " if "\n" in error.doc.strip() else ""
  return f"{error.msg}{at_end}: {line}column {error.colno}"


def _decode(data: bytes) -> str:
  """Returns the text of bytes in UTF-8."""
  data = data.removeprefix(codecs.BOM_UTF8)
  try:
    return data.decode()
  except UnicodeDecodeError as error:
    before = data[: error.start].decode()
    raise json.JSONDecodeError(
      f"byte 0x{data[error.start]:02x} is not UTF-8",
      data.decode(errors="replace"),
      len(before),
    ) from None


def _refuse(text: str, name: str) -> None:
  """Raises an error for the first NaN or Infinity of a text."""
  found = (m for m in _CONSTANT.finditer(text) if m[1])
  place = next(found).start()
  raise json.JSONDecodeError(f"{name} is no number", text, place)
