"""A text cut into words, at spaces and at the ends of its two entities."""

import bisect
import functools
import itertools
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from ifa_jax.data.text.markers import Span

# Unicode names of letters in scripts without spaces begin with these. Katakana
# is not among them: a run of it is one word.
_UNSPACED = ("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "BOPOMOFO ")
_UNSPACED += ("THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ")


class Cut(NamedTuple):
  """The words of a text.

  Attributes:
    words: n words.
    head: words [begin, end).
    tail: words [begin, end).
    names: of head and tail, as they occur in the text, with single spaces.
  """

  words: list[str]
  head: Span
  tail: Span
  names: tuple[str, str]


def cut_at(text: str, head: Span, tail: Span) -> Cut:
  """Cuts a text at spaces and at the ends of its entities.

  "Ann, of Acme." with "Ann" and "Acme" gives Ann | , | of | Acme | .

  Args:
    text: n characters.
    head: characters [begin, end).
    tail: likewise.
  """
  cuts = sorted({0, *head, *tail, len(text)})
  found, starts = [], []
  for begin, end in itertools.pairwise(cuts):
    for match in words(text[begin:end]):
      found.append(match.group())
      starts.append(begin + match.start())
  place = functools.partial(bisect.bisect_left, starts)
  first, last = ((place(begin), place(end)) for begin, end in (head, tail))
  name, other = (" ".join(text[slice(*x)].split()) for x in (head, tail))
  return Cut(found, first, last, (name, other))


def words(text: str) -> list[re.Match]:
  """Returns the words between spaces."""
  return list(re.finditer(r"\S+", text))


def touched(listed: Sequence[re.Match], chars: Span) -> Span:
  """Returns the words [begin, end) that characters [begin, end) touch."""
  begin = bisect.bisect_right(listed, chars[0], key=re.Match.end)
  return begin, bisect.bisect_left(listed, chars[1], key=re.Match.start)


def splits_word(text: str, place: int) -> bool:
  """Returns whether a place is inside a word.

  In scripts without spaces, any letter may begin a word.
  """
  around = text[place - 1 : place + 1] if place else ""
  return bool(re.fullmatch(r"\w\w", around)) and not any(
    unicodedata.name(letter, "").startswith(_UNSPACED) for letter in around
  )


def goes_on(text: str, end: int) -> bool:
  """Returns whether a letter or emoji continues at the end of a name.

  Combining marks, joiners and skin tones are not \\w to `re`.
  """
  after = text[end : end + 1]
  return bool(after) and (
    unicodedata.category(after).startswith("M")
    or after == "\u200d"
    or "\U0001f3fb" <= after <= "\U0001f3ff"
  )
