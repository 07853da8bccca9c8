"""What was found, as the one line of an error can show it."""

import reprlib
from typing import Any

_MOST = 80


def shown(value: Any) -> str:
  """Returns a value in at most 80 characters, however large it is.

  Data of others may hold lists that contain one list a thousand times, or whole
  numbers with more digits than Python writes; neither is looked at whole.
  """
  text = " ".join(_SHORT.repr(value).split())
  return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."


class _Short(reprlib.Repr):
  """Looks at the first few parts of a value, three levels deep."""

  def __init__(self):
    super().__init__()
    self.maxlevel = 3
    self.maxstring = self.maxother = _MOST

  def repr_int(self, x: int, level: int) -> str:
    if abs(x) < 1 << 256:
      return str(x)
    return f"a number of {x.bit_length()} bits"


_SHORT = _Short()
