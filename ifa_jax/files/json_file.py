"""JSON files: untrusted ones give a value, or a one-line error with the place.

A repeated key of an object is an error; Python would keep the last.
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

# Numbers are stored as float32.
_MAX = float(np.finfo(np.float32).max)
# A string, which is skipped, or a name that Python accepts as a number.
_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)')


class RepeatedKey(ValueError):
  """A key is in an object more than once."""


def load(path: str | os.PathLike[str]) -> Any:
  """Returns the value in a file.

  Raises:
    ValueError: if it is not JSON in UTF-8, repeats a key of an object, or is
      nested too deeply; names the file, and the place in it.
    OSError: if it cannot be opened.
  """
  with open(path, "rb") as file:
    return parse(file.read(), os.fspath(path))


def write(path: str | os.PathLike[str], value: Any) -> None:
  """Writes a value as indented JSON, and waits until it is on disk."""
  with open(path, "w", encoding="utf-8") as file:
    json.dump(value, file, indent=2, ensure_ascii=False)
    file.write("\n")
    file.flush()
    os.fsync(file.fileno())


def parse(text: bytes | str, where: str, strict: bool = False) -> Any:
  """Returns the value of a JSON text.

  Args:
    text: bytes are UTF-8, with or without a byte order mark.
    where: its file or line, for errors.
    strict: refuse NaN and Infinity, which Python accepts.

  Raises:
    ValueError: as `load`.
  """
  try:
    text = _decode(text) if isinstance(text, bytes) else text
    refuse = functools.partial(_refuse_constant, text) if strict else None
    return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
  except RepeatedKey as error:
    raise RepeatedKey(f"{where}: {error}") from None
  except json.JSONDecodeError as error:
    at_end = "" if error.doc[error.pos :].strip() else " where the text ends"
    line = f"line {error.lineno}, " if "\n" in error.doc.strip() else ""
    raise ValueError(
      f"{where}: not JSON: {error.msg}{at_end}: {line}column {error.colno}"
    ) from None
  except (ValueError, RecursionError) as error:
    raise ValueError(f"{where}: not JSON: {error}") from None


def is_finite(value: Any) -> bool:
  """Returns whether a JSON value is a number that is finite in float32."""
  is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
  return is_number and -_MAX <= value <= _MAX


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  """Returns the dict of an object's pairs: `json`'s `object_pairs_hook`.

  Raises:
    RepeatedKey: for the key that is repeated most often.
  """
  found = dict(pairs)
  if len(found) < len(pairs):
    counts = collections.Counter(key for key, _ in pairs)
    (key, count), *_ = counts.most_common(1)
    raise RepeatedKey(
      f"expected each key of an object once, got {shown(key)} {count} times"
    )
  return found


def _decode(data: bytes) -> str:
  data = data.removeprefix(codecs.BOM_UTF8)
  try:
    return data.decode()
  except UnicodeDecodeError as error:
    raise json.JSONDecodeError(
      f"byte 0x{data[error.start]:02x} is not UTF-8",
      data.decode(errors="replace"),
      len(data[: error.start].decode()),
    ) from None


def _refuse_constant(text: str, name: str) -> None:
  """Raises an error for the first NaN or Infinity of a text."""
  place = next(m.start() for m in _CONSTANT.finditer(text) if m[1])
  raise json.JSONDecodeError(f"{name} is no number", text, place)
