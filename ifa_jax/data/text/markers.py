"""Entities in words and in texts: their markers, windows and words.

Spans are (begin, end) word offsets with `end` exclusive. `<s>` and `</s>`
enclose the head, `<o>` and `</o>` the tail. In a text, marked entities may nest
or cross, and need no spaces around them.
"""

import bisect
import functools
import itertools
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

MARKERS = ("<s>", "</s>", "<o>", "</o>")
_MARKER = re.compile("|".join(map(re.escape, MARKERS)))

# Unicode names of letters in scripts without spaces begin with these. Katakana
# is not among them: a run of it is one word.
_UNSPACED = ("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "BOPOMOFO ")
_UNSPACED += ("THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ")
_JOINER = "\u200d"

Span = tuple[int, int]


class Token(NamedTuple):
  """A word of the text, or a marker between two of them.

  Attributes:
    text: the word, or one of `MARKERS`.
    word: index of the word in the text, or None for a marker.
  """

  text: str
  word: int | None


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


def insert_markers(words: Sequence[str], head: Span, tail: Span) -> list[Token]:
  """Puts markers around both entities.

  At a gap between words the closing markers come first, the inner span's before
  the outer's, then the opening ones, the outer span's first. If both spans are
  equal, the head is the outer. Spans that overlap without nesting cross.

      words = ["Bill", "Cosby", "in", "Rome"]
      head (0, 2), tail (3, 4):  <s> Bill Cosby </s> in <o> Rome </o>
      head (2, 3), tail (3, 4):  Bill Cosby <s> in </s> <o> Rome </o>
      head (0, 2), tail (0, 4):  <o> <s> Bill Cosby </s> in Rome </o>
      head (3, 4), tail (3, 4):  Bill Cosby in <s> <o> Rome </o> </s>

  Raises:
    ValueError: if a span is empty or leaves the sentence.
  """
  for name, (begin, end) in (("head", head), ("tail", tail)):
    if not 0 <= begin < end <= len(words):
      raise ValueError(
        f"the {name}'s span [{begin}, {end}) is empty or outside the sentence"
        f" of {len(words)} words"
      )
  # Outer before inner: the wider span, and if they are equal the head.
  outer_first = sorted(
    [(head, "<s>", "</s>"), (tail, "<o>", "</o>")],
    key=lambda entity: entity[0][0] - entity[0][1],
  )
  tokens = []
  for gap in range(len(words) + 1):
    for (_, end), _, closing in reversed(outer_first):
      if end == gap:
        tokens.append(Token(closing, None))
    for (begin, _), opening, _ in outer_first:
      if begin == gap:
        tokens.append(Token(opening, None))
    if gap < len(words):
      tokens.append(Token(words[gap], gap))
  return tokens


def window(
  num_pieces: Sequence[int], head: Span, tail: Span, budget: int
) -> list[int]:
  """Chooses the words to keep of a text that is too long.

  Keeps every word of both entities, then adds words by their distance to the
  nearest entity word, ties in text order, until one does not fit. Distant
  entities keep a window each; the words between the windows are dropped. The
  budget excludes markers and special tokens.

      window([1, 1, 1, 1, 1, 1, 1, 1], (1, 2), (6, 7), budget=4) == [0, 1, 2, 6]
      window([1, 1, 1, 1], (0, 1), (3, 4), budget=9) == [0, 1, 2, 3]

  Returns:
    Indices of the kept words, in order.

  Raises:
    ValueError: if the entities alone do not fit.
  """
  kept = set(range(*head)) | set(range(*tail))
  left = budget - sum(num_pieces[word] for word in kept)
  if left < 0:
    raise ValueError(
      f"the two entities take {budget - left} word pieces, only {budget} fit"
    )
  others = [word for word in range(len(num_pieces)) if word not in kept]

  def distance(word):
    return min(
      begin - word if word < begin else word - end + 1
      for begin, end in (head, tail)
    )

  # A stable sort: ties stay in text order.
  others.sort(key=distance)
  for word in others:
    left -= num_pieces[word]
    if left < 0:
      break
    kept.add(word)
  return sorted(kept)


def is_marked(text: str) -> bool:
  """Returns whether each of the four marks is in a text exactly once."""
  return sorted(_MARKER.findall(text)) == sorted(MARKERS)


def unmark(text: str) -> tuple[str, Span, Span]:
  """Removes the marks from a text.

  Returns:
    The text, and characters [begin, end) of head and tail without surrounding
    spaces.

  Raises:
    ValueError: unless each mark is there once, the opening one of a pair first,
      and something between them; names the mark.
  """
  found = _MARKER.findall(text)
  if not found:
    raise ValueError(
      "head, tail: expected two names in the text, or a text marked like <s>"
      " Ann </s> joins <o> Acme </o>, got neither"
    )
  for mark in MARKERS:
    if found.count(mark) != 1:
      raise ValueError(
        f"text: expected the mark {mark} once, got it {found.count(mark)} times"
      )
  parts, places, length = _MARKER.split(text), {}, 0
  for mark, part in zip(found, parts, strict=False):
    length += len(part)
    places[mark] = length
  text = "".join(parts)
  spans = []
  for opening, closing in (MARKERS[:2], MARKERS[2:]):
    begin, end = places[opening], places[closing]
    inside = text[begin:end]
    if not inside.strip():
      raise ValueError(
        f"text: expected an entity after {opening} and before {closing}, got"
        " none"
      )
    indent = len(inside) - len(inside.lstrip())
    spans.append((begin + indent, begin + len(inside.rstrip())))
  return text, spans[0], spans[1]


def cut_at(text: str, head: Span, tail: Span) -> Cut:
  """Cuts a text at spaces and at the ends of its entities.

  "Ann, of Acme." with "Ann" and "Acme" gives Ann | , | of | Acme | .

  Args:
    text: n characters.
    head: characters [begin, end).
    tail: characters [begin, end).
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


def goes_on(text: str, place: int) -> bool:
  """Returns whether a place is inside a letter or emoji.

  Combining marks, joiners and skin tones are not \\w to `re`. A joiner may also
  end a word, as in Malayalam: only between two emoji does it join these.
  """
  before, after = text[max(0, place - 2) : place], text[place : place + 1]
  if not before or before[-1].isspace() or not after:
    return False
  if before[-1] == _JOINER and _in_emoji(before[0]) and _in_emoji(after):
    return True
  return (
    unicodedata.category(after).startswith("M")
    or after == _JOINER
    or "\U0001f3fb" <= after <= "\U0001f3ff"
  )


def _in_emoji(letter: str) -> bool:
  """Returns whether a character is a symbol, or selects one in colour."""
  return unicodedata.category(letter).startswith("S") or letter == "\ufe0f"
