"""Entity markers in words and in texts, and windows of words around entities.

Spans are (begin, end) word offsets with `end` exclusive. The head stands
between `<s>` and `</s>`, the tail between `<o>` and `</o>`. In a text, marked
entities may nest or cross, and need no spaces around them.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

MARKERS = ("<s>", "</s>", "<o>", "</o>")
_MARKER = re.compile("|".join(map(re.escape, MARKERS)))

Span = tuple[int, int]


class Token(NamedTuple):
  """A word of the text, or a marker between two of them.

  Attributes:
    text: the word, or one of `MARKERS`.
    word: index of the word in the text, or None for a marker.
  """

  text: str
  word: int | None


def insert_markers(words: Sequence[str], head: Span, tail: Span) -> list[Token]:
  """Puts markers around both entities, at the sentence's end too.

  Nested spans give nested markers and adjacent spans do not cross: at one gap
  between words the closing markers come first, the inner span's before the
  outer's, then the opening ones, the outer span's first. Of two equal spans the
  head is the outer. Spans that overlap without nesting cross, as they must.

      words = ["Bill", "Cosby", "in", "Rome"]
      head (0, 2), tail (3, 4):  <s> Bill Cosby </s> in <o> Rome </o>
      head (2, 3), tail (3, 4):  Bill Cosby <s> in </s> <o> Rome </o>
      head (0, 2), tail (0, 4):  <o> <s> Bill Cosby </s> in Rome </o>
      head (3, 4), tail (3, 4):  Bill Cosby in <s> <o> Rome </o> </s>

      insert_markers(["Rome", "!"], (0, 1), (1, 2)) == [
        ("<s>", None), ("Rome", 0), ("</s>", None),
        ("<o>", None), ("!", 1), ("</o>", None)]

  Raises:
    ValueError: if a span is empty or leaves the sentence.
  """
  for name, span in (("head", head), ("tail", tail)):
    check_span(name, span, len(words))
  # Outer before inner: the wider one, and of equal ones the head.
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


def check_span(name: str, span: Span, num_words: int) -> None:
  """Raises ValueError unless 0 <= begin < end <= num_words."""
  begin, end = span
  if not 0 <= begin < end <= num_words:
    raise ValueError(
      f"the {name}'s span [{begin}, {end}) is empty or outside the sentence of"
      f" {num_words} words"
    )


def window(
  num_pieces: Sequence[int], head: Span, tail: Span, budget: int
) -> list[int]:
  """Chooses the words to keep of a text that is too long.

  Keeps every word of both entities, then adds words by their distance to the
  nearest entity word, the earlier first where two are equally near, up to the
  first that does not fit. Far-apart entities keep a window each; the words
  between the windows are dropped.

      window([1, 1, 1, 1, 1, 1, 1, 1], (1, 2), (6, 7), budget=4) == [0, 1, 2, 6]
      window([1, 1, 1, 1], (0, 1), (3, 4), budget=9) == [0, 1, 2, 3]

  Args:
    num_pieces: pieces of each word.
    head: (begin, end) words of the head.
    tail: (begin, end) words of the tail.
    budget: pieces that fit, markers and special tokens not counted.

  Returns:
    Indices of the words kept, in order.

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
  others.sort(key=lambda word: (_distance(word, head, tail), word))
  for word in others:
    left -= num_pieces[word]
    if left < 0:
      break
    kept.add(word)
  return sorted(kept)


def _distance(word: int, head: Span, tail: Span) -> int:
  """Words from `word`, outside both spans, to the nearest entity word."""
  return min(
    begin - word if word < begin else word - end + 1
    for begin, end in (head, tail)
  )


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
  return sorted(_MARKER.findall(text)) == sorted(MARKERS)


def unmark(text: str) -> Unmarked:
  """Takes the marks out of a text.

  Raises:
    ValueError: unless each mark stands there once, the opening one of a pair
      first, with something between them; names the mark.
  """
  found = _MARKER.findall(text)
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
  parts, places, length = _MARKER.split(text), {}, 0
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
