"""Reads JSON of any origin: a value, or an error of one line that names it."""

import json
import os
from typing import Any

import numpy as np

# What is read is kept as float32.
_MOST = float(np.finfo(np.float32).max)


def load(path: str | os.PathLike[str]) -> Any:
  """Returns the value in a file.

  Raises:
    ValueError: if it is not JSON in UTF-8, or nested too deeply; names it.
    OSError: if it cannot be opened.
  """
  with open(path, "rb") as file:
    return parse(file.read(), os.fspath(path))


def parse(text: bytes | str, where: str) -> Any:
  """Returns the value of a JSON text.

  Args:
    text: UTF-8 where it is bytes.
    where: its place, for errors.

  Raises:
    ValueError: as `load`.
  """
  try:
    return json.loads(text if isinstance(text, str) else text.decode("utf-8"))
  except (ValueError, RecursionError) as error:
    raise ValueError(f"{where}: not JSON: {error}") from None


def is_finite(value: Any) -> bool:
  """Tells finite numbers from everything else that JSON holds."""
  is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
  return is_number and -_MOST <= value <= _MOST
