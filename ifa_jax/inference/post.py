"""The text of a post and its two entities, checked; see `ifa_jax.inference`."""

import bisect
import functools
import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ifa_jax.data.text import markers

Span = tuple[int, int]

ROLES = ("head", "tail")
# Of a name that occurs often, the places that an error lists.
_MAX_PLACES = 5
_MARKED = "mark head and tail in the text: <s> ... </s>, <o> ... </o>"
# Unicode's names of letters of scripts that put no spaces between words. Not of
# katakana, of which a run is one word.
_UNSPACED = ("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "BOPOMOFO ")
_UNSPACED += ("THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ")


class Post(NamedTuple):
  """A post's text, checked.

  Attributes:
    words: n words.
    head: words [begin, end).
    tail: words [begin, end).
    head_name: as it stands in the text, with single spaces.
    tail_name: likewise.
  """

  words: list[str]
  head: Span
  tail: Span
  head_name: str
  tail_name: str

  def names(self) -> tuple[str, str]:
    """Returns the names of head and tail."""
    return self.head_name, self.tail_name


def read_post(fields: Mapping[str, Any]) -> Post:
  """Checks a post's fields and finds its entities.

  Raises:
    ValueError: for a missing or mistyped field, marks that do not fit, or a
      name that does not occur in the text or occurs more than once; says where.
  """
  if "not_json" in fields and "text" not in fields:
    where = fields.get("reason") or f"line {fields.get('line')}"
    raise ValueError(
      f"{where}; want a JSON object in a line, found {fields['not_json']!r}"
    )
  text = _read_text(fields.get("text"))
  given = [fields.get(role + part) for role in ROLES for part in ("", "_span")]
  if markers.is_marked(text) or given == [None] * 4:
    text, head, tail = markers.unmark(text)
    for role, (begin, end) in zip(ROLES, (head, tail), strict=True):
      _check_marked(fields, role, text[begin:end])
  else:
    head, tail = (_chars(fields, role, text) for role in ROLES)
  return _cut_at(text, head, tail)


def _read_text(text: Any) -> str:
  """Returns the text of a string, or of a list of words without spaces."""
  if isinstance(text, list) and all(
    isinstance(word, str) and len(word.split()) == 1 for word in text
  ):
    text = " ".join(word.strip() for word in text)
  if not isinstance(text, str) or not text.strip():
    raise ValueError(
      f"text: want a text or a list of words, found {_shown(text)}"
    )
  # Half of a character, as "\ud83d" in JSON, is no text to a tokenizer.
  text.encode()
  return text


def _check_marked(fields: Mapping[str, Any], role: str, marked: str) -> None:
  """Raises ValueError if a marked entity is given otherwise as well."""
  name, key = fields.get(role), f"{role}_span"
  if name is not None and not _is_name(name, marked):
    raise ValueError(
      f"{role}: want {_shown(marked)}, which the text marks, or none, found"
      f" {_shown(name)}"
    )
  if fields.get(key) is not None:
    raise ValueError(
      f"{key}: want none beside a marked text, found {_shown(fields[key])}"
    )


def _chars(fields: Mapping[str, Any], role: str, text: str) -> Span:
  """Returns the characters [begin, end) of an entity in the text."""
  name, span = fields.get(role), fields.get(f"{role}_span")
  if span is None:
    return _only(_find(name, role, text), name, role, text)
  begin, end = _chars_of_words(span, role, text)
  if name is None or _is_name(name, text[begin:end]):
    return begin, end
  words = _words(text)
  inside = [
    place
    for place in _find(name, role, text)
    if _touched(words, place) == tuple(span)
  ]
  if not inside:
    raise ValueError(
      f"{role}: want the name at words {span[0]}:{span[1]},"
      f" {_shown(text[begin:end])}, or none, found {_shown(name)}"
    )
  return _only(inside, name, role, text)


def _chars_of_words(span: Any, role: str, text: str) -> Span:
  """Returns the characters [begin, end) of words [begin, end)."""
  words = _words(text)
  is_pair = isinstance(span, Sequence) and len(span) == 2
  if (
    not is_pair
    or not all(type(end) is int for end in span)
    or not 0 <= span[0] < span[1] <= len(words)
  ):
    raise ValueError(
      f"{role}_span: want [begin, end) within the text's {len(words)} words,"
      f" found {_shown(span)}"
    )
  return words[span[0]].start(), words[span[1] - 1].end()


def _find(name: Any, role: str, text: str) -> list[Span]:
  """Finds a name between word boundaries: not "Ann" in "Annapolis".

  Where a script puts no spaces between words, any letter may begin a word.
  """
  if not isinstance(name, str) or not name.strip():
    raise ValueError(f"{role}: want a name in the text, found {_shown(name)}")
  return [
    (begin, end)
    for begin, end in _occurrences(name, text)
    if not _splits_word(text, begin)
    and not _splits_word(text, end)
    and not _goes_on(text, end)
  ]


def _occurrences(name: str, text: str) -> list[Span]:
  """Finds a name anywhere, even within words and where it overlaps itself."""
  spaced = r"\s+".join(re.escape(part) for part in name.split())
  return [m.span(1) for m in re.finditer(rf"(?=({spaced}))", text)]


def _splits_word(text: str, place: int) -> bool:
  """Returns whether one word has the characters around a place."""
  around = text[place - 1 : place + 1] if place else ""
  return bool(re.fullmatch(r"\w\w", around)) and not any(
    unicodedata.name(letter, "").startswith(_UNSPACED) for letter in around
  )


def _only(places: Sequence[Span], name: Any, role: str, text: str) -> Span:
  """Returns the one place; of several, an error lists words around them."""
  if len(places) == 1:
    return places[0]
  words, listed = _words(text), []
  if not places:
    raise ValueError(f"{role}: {_shown(name)} {_why_none(name, text, words)}")
  for place in places[:_MAX_PLACES]:
    begin, end = _touched(words, place)
    around = " ".join(m.group() for m in words[max(0, begin - 2) : end + 2])
    listed.append(f"{begin}:{end} ({_shown(around)})")
  more = len(places) - len(listed)
  raise ValueError(
    f"{role}: {_shown(name)} occurs {len(places)} times, at words"
    f" {', '.join(listed)}{f' and {more} more' if more else ''}; choose one by"
    f" {role}_span, or {_MARKED}"
  )


def _why_none(name: str, text: str, words: Sequence[re.Match]) -> str:
  """Returns why a name that is nowhere between word boundaries is not found."""
  parts = _occurrences(name, text)
  if not parts:
    return "does not occur in the text"
  begin, end = _touched(words, parts[0])
  longer = text[words[begin].start() : words[end - 1].end()]
  return (
    f"occurs only as part of {_shown(longer)}; give the whole word, or"
    f" {_MARKED}"
  )


def _goes_on(text: str, end: int) -> bool:
  """Returns whether a letter or emoji goes on where a name would end.

  Marks (vowel signs, accents), joiners and skin tones are no \\w to `re`.
  """
  after = text[end : end + 1]
  return bool(after) and (
    unicodedata.category(after).startswith("M")
    or after == "\u200d"
    or "\U0001f3fb" <= after <= "\U0001f3ff"
  )


def _is_name(name: Any, found: str) -> bool:
  return isinstance(name, str) and name.split() == found.split()


def _shown(value: Any) -> str:
  """Returns a value for an error's one line, however long it is."""
  text = repr(value)
  return text if len(text) <= 80 else f"{text[:77]}..."


def _words(text: str) -> list[re.Match]:
  return list(re.finditer(r"\S+", text))


def _touched(words: Sequence[re.Match], chars: Span) -> Span:
  """Returns the words [begin, end) that characters [begin, end) touch."""
  begin = bisect.bisect_right(words, chars[0], key=re.Match.end)
  return begin, bisect.bisect_left(words, chars[1], key=re.Match.start)


def _cut_at(text: str, head: Span, tail: Span) -> Post:
  """Splits a text at spaces and at the ends of its entities.

  "Ann, of Acme." with "Ann" and "Acme" gives Ann | , | of | Acme | .
  """
  cuts = sorted({0, *head, *tail, len(text)})
  words, starts = [], []
  for begin, end in itertools.pairwise(cuts):
    for match in _words(text[begin:end]):
      words.append(match.group())
      starts.append(begin + match.start())
  place = functools.partial(bisect.bisect_left, starts)
  span = lambda chars: (place(chars[0]), place(chars[1]))  # noqa: E731
  name = lambda chars: " ".join(text[slice(*chars)].split())  # noqa: E731
  return Post(words, span(head), span(tail), name(head), name(tail))
