"""Names of relations, each in one spelling.

A class of its own for "none" next to "None", or for "m " next to "m", would be
one that readers of its name cannot tell from the other, and F1 counts it.
"""

import re
import unicodedata
from collections.abc import Iterable

# Printable to Python, and drawn as nothing: variation selectors and fillers.
_UNSEEN = re.compile(
  r"[\ufe00-\ufe0f\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0]"
)


def is_none(name: str) -> bool:
  """Returns whether a name stands for the absence of a relation."""
  return name.lower() == "none"


def look(name: str) -> str:
  """Returns what is seen of a name; that of no relation in lower case."""
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
