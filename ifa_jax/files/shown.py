"""Values and errors as error messages quote them."""

import reprlib
from collections.abc import Sequence
from typing import Any

_MAX_LENGTH = 80
_MAX_REASON = 200


class _Short(reprlib.Repr):
  """Formats the first few parts of a value, three levels deep."""

  def __init__(self):
    super().__init__()
    self.maxlevel = 3
    self.maxstring = self.maxother = _MAX_LENGTH

  def repr_int(self, x: int, level: int) -> str:
    if abs(x) < 1 << 256:
      return str(x)
    return f"a number of {x.bit_length()} bits"


_SHORT = _Short()


def shown(value: Any) -> str:
  """Returns a value in one line of at most 80 characters.

  Untrusted data may hold a list that contains another list a thousand times,
  or integers with more digits than Python prints; neither is formatted whole.
  """
  text = " ".join(_SHORT.repr(value).split())
  return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 3]}..."


def one_line(error: Exception) -> str:
  """Returns the beginning of an error's text, or its type if it has none."""
  return " ".join(str(error).split())[:_MAX_REASON] or type(error).__name__


def first_of(problems: Sequence[str], most: int = 10) -> list[str]:
  """Returns the first problems, and one entry for the number of the others."""
  others = len(problems) - most
  return [*problems[:most], *([f"and {others} more"] if others > 0 else [])]
