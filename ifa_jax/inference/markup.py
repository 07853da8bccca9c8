"""Entities marked in a text: `<s> Ann </s> joins <o> Acme </o>`.

The head stands between `<s>` and `</s>`, the tail between `<o>` and `</o>`, as
in `data.text.markers`. Marked entities may nest or cross, and need no spaces
around them.
"""

import re
from typing import NamedTuple

from ifa_jax.data.text.markers import MARKERS

_MARK = re.compile("|".join(map(re.escape, MARKERS)))


class Unmarked(NamedTuple):
  """A text without its marks.

  Attributes:
    text: what is left of it.
    head: characters [begin, end) of the head, without spaces around.
    tail: likewise of the tail.
  """

  text: str
  head: tuple[int, int]
  tail: tuple[int, int]


def is_marked(text: str) -> bool:
  """Returns whether each of the four marks stands in a text once."""
  return sorted(_MARK.findall(text)) == sorted(MARKERS)


def unmark(text: str) -> Unmarked:
  """Takes the marks out of a text.

  Raises:
    ValueError: unless each mark stands there once, the opening one of a pair
      first, with something between them; names the mark.
  """
  found = _MARK.findall(text)
  if not found:
    raise ValueError(
      "head, tail: want two names in the text, or a text marked like <s> Ann"
      " </s> joins <o> Acme </o>, found neither"
    )
  for mark in MARKERS:
    if found.count(mark) != 1:
      raise ValueError(
        f"text: want the mark {mark} once, found it {found.count(mark)} times"
      )
  parts, places, length = _MARK.split(text), {}, 0
  for mark, part in zip(found, parts, strict=False):
    length += len(part)
    places[mark] = length
  text = "".join(parts)
  head, tail = (
    _between(text, places, opening, closing)
    for opening, closing in (MARKERS[:2], MARKERS[2:])
  )
  return Unmarked(text, head, tail)


def _between(text: str, places: dict[str, int], opening: str, closing: str):
  begin, end = places[opening], places[closing]
  inside = text[begin:end]
  if not inside.strip():
    raise ValueError(
      f"text: want an entity after {opening} and before {closing}, found none"
    )
  indent = len(inside) - len(inside.lstrip())
  return begin + indent, begin + len(inside.rstrip())
