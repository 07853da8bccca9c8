"""The text of a post and its two entities, checked; see `ifa_jax.inference`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ifa_jax.data.text import markers
from ifa_jax.data.text.markers import Cut, Span
from ifa_jax.files.shown import shown

ROLES = ("head", "tail")
# Occurrences of a name that an error lists.
_MAX_PLACES = 5
# Words [begin, end) as flags and forms have them.
_SPAN = re.compile(r"\s*(\d{1,9})\s*:\s*(\d{1,9})\s*", re.ASCII)
_MARKED = "mark head and tail in the text: <s> ... </s>, <o> ... </o>"


def has_entities(fields: Mapping[str, Any]) -> bool:
  """Returns whether a post has entities instead of head and tail."""
  return fields.get("entities") is not None


def read_post(fields: Mapping[str, Any]) -> Cut:
  """Checks a post's fields and finds its entities.

  Raises:
    ValueError: for a missing or mistyped field, markers that do not fit, or a
      name that does not occur in the text or occurs more than once.
  """
  if "not_json" in fields and "text" not in fields:
    expected = f"line {fields.get('line')}: expected a JSON object"
    where = fields.get("reason") or expected
    raise ValueError(f"{where}: {fields['not_json']!r}")
  text = read_text(fields.get("text"))
  given = [fields.get(role + part) for role in ROLES for part in ("", "_span")]
  if markers.is_marked(text) or given == [None] * 4:
    text, head, tail = markers.unmark(text)
    for role, (begin, end) in zip(ROLES, (head, tail), strict=True):
      _check_marked(fields, role, text[begin:end])
  else:
    head, tail = (_chars(fields, role, text) for role in ROLES)
  return markers.cut_at(text, head, tail)


def read_text(text: Any) -> str:
  """Returns the text of a string, or of a list of words without spaces."""
  if isinstance(text, list) and all(
    isinstance(word, str) and len(word.split()) == 1 for word in text
  ):
    text = " ".join(word.strip() for word in text)
  if not isinstance(text, str) or not text.strip():
    raise ValueError(
      f"text: expected a text or a list of words, got {shown(text)}"
    )
  try:
    text.encode()
  except UnicodeEncodeError as error:
    # As "\ud83d" in JSON; no tokenizer reads it.
    raise ValueError(
      f"text: expected Unicode, got the lone surrogate"
      f" {shown(text[error.start])} at character {error.start}"
    ) from None
  return text


def parse_span(text: str) -> list[int] | None:
  """Returns [3, 5] for "3:5", None for a text of another form."""
  ends = _SPAN.fullmatch(text)
  return [*map(int, ends.groups())] if ends else None


def _check_marked(fields: Mapping[str, Any], role: str, marked: str) -> None:
  """Raises ValueError if name or span contradict a marked entity."""
  name, key = fields.get(role), f"{role}_span"
  if name is not None and not is_name(name, marked):
    raise ValueError(
      f"{role}: expected {shown(marked)}, which the text marks, or none, got"
      f" {shown(name)}"
    )
  if fields.get(key) is not None:
    raise ValueError(
      f"{key}: expected none with a marked text, got {shown(fields[key])}"
    )


def _chars(fields: Mapping[str, Any], role: str, text: str) -> Span:
  """Returns the characters [begin, end) of an entity in the text."""
  name, span = fields.get(role), fields.get(f"{role}_span")
  if span is None:
    return _only(_find(name, role, text), name, role, text)
  begin, end = chars_of_words(span, role, text)
  if name is None or is_name(name, text[begin:end]):
    return begin, end
  words = markers.words(text)
  inside = [
    place
    for place in _find(name, role, text)
    if markers.touched(words, place) == tuple(span)
  ]
  if not inside:
    raise ValueError(
      f"{role}: expected the name at words {span[0]}:{span[1]},"
      f" {shown(text[begin:end])}, or none, got {shown(name)}"
    )
  return _only(inside, name, role, text)


def chars_of_words(span: Any, role: str, text: str) -> Span:
  """Returns the characters [begin, end) of words [begin, end)."""
  words = markers.words(text)
  is_pair = isinstance(span, Sequence) and len(span) == 2
  if (
    not is_pair
    or not all(type(end) is int for end in span)
    or not 0 <= span[0] < span[1] <= len(words)
  ):
    raise ValueError(
      f"{role}_span: expected [begin, end) within the text's {len(words)}"
      f" words, got {shown(span)}"
    )
  return words[span[0]].start(), words[span[1] - 1].end()


def _find(name: Any, role: str, text: str) -> list[Span]:
  """Finds a name between word boundaries: not "Ann" in "Annapolis".

  In scripts without spaces, any letter may begin a word.
  """
  if not isinstance(name, str) or not name.strip():
    raise ValueError(f"{role}: expected a name in the text, got {shown(name)}")
  return [
    (begin, end)
    for begin, end in occurrences(name, text)
    if not any(
      markers.splits_word(text, place) or markers.goes_on(text, place)
      for place in (begin, end)
    )
  ]


def occurrences(name: str, text: str) -> list[Span]:
  """Finds a name anywhere, also within words and overlapping itself."""
  spaced = r"\s+".join(re.escape(part) for part in name.split())
  return [m.span(1) for m in re.finditer(rf"(?=({spaced}))", text)]


def _only(places: Sequence[Span], name: Any, role: str, text: str) -> Span:
  """Returns the only place; an error for several lists the words around."""
  if len(places) == 1:
    return places[0]
  words, listed = markers.words(text), []
  if not places:
    raise ValueError(f"{role}: {shown(name)} {_why_none(name, text, words)}")
  for place in places[:_MAX_PLACES]:
    begin, end = markers.touched(words, place)
    around = " ".join(m.group() for m in words[max(0, begin - 2) : end + 2])
    listed.append(f"{begin}:{end} ({shown(around)})")
  more = len(places) - len(listed)
  raise ValueError(
    f"{role}: {shown(name)} occurs {len(places)} times, at words"
    f" {', '.join(listed)}{f' and {more} more' if more else ''}; choose one by"
    f" {role}_span, or {_MARKED}"
  )


def _why_none(name: str, text: str, words: Sequence[re.Match]) -> str:
  """Returns the reason for a name without any place."""
  parts = occurrences(name, text)
  if not parts:
    return "does not occur in the text"
  begin, end = markers.touched(words, parts[0])
  longer = text[words[begin].start() : words[end - 1].end()]
  return (
    f"occurs only as part of {shown(longer)}; give the whole word, or {_MARKED}"
  )


def is_name(name: Any, found: str) -> bool:
  """Returns whether a text is a name, apart from the width of spaces."""
  return isinstance(name, str) and name.split() == found.split()
