"""Relation names, each in one spelling.

Otherwise "none" and "None", or "m " and "m", would be two classes that look the
same and that F1 counts separately.
"""

import re
import unicodedata
from collections.abc import Iterable

# Printable according to Python, but invisible: variation selectors and fillers.
_UNSEEN = re.compile(
  r"[\ufe00-\ufe0f\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0]"
)


def is_none(name: str) -> bool:
  """Returns whether a name means the absence of a relation."""
  return name.lower() == "none"


def look(name: str) -> str:
  """Returns the visible part of a name; "none" for the absence of one."""
  seen = unicodedata.normalize("NFKC", _UNSEEN.sub("", name))
  seen = " ".join(seen.split())
  return seen.lower() if is_none(seen) else seen


def check(names: Iterable[str], where: str) -> None:
  """Raises ValueError if two names look alike or both mean no relation."""
  spellings: dict[str, str] = {}
  for name in names:
    other = spellings.setdefault(look(name), name)
    if other != name:
      raise ValueError(
        f"{where}: expected one spelling of each relation, got {other!r} and"
        f" {name!r}"
      )
