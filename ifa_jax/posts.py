"""Posts of one's own: a text with two entities in it, and maybe a picture.

    {"text": "Ann joins Acme today .", "head": "Ann", "tail": "Acme",
     "image": "ann.jpg", "boxes": [{"box": [0, 0, 90, 80], "score": 0.9}]}

`head` and `tail` are found in the text; where a name occurs more than once,
`head_span` or `tail_span` gives [begin, end) word offsets in its place. `text`
may be a list of words. `image` and `boxes` may be left out; boxes are those of
`ifa_jax.data.boxes`. Any other key is kept and handed back, so an `id` is.
"""

import bisect
import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Span = tuple[int, int]


class Post(NamedTuple):
  """A post's text, checked.

  Attributes:
    words: n words.
    head: words [begin, end).
    tail: words [begin, end).
  """

  words: list[str]
  head: Span
  tail: Span

  def names(self) -> tuple[str, str]:
    """Returns the words of head and tail."""
    return tuple(
      " ".join(self.words[slice(*span)]) for span in (self.head, self.tail)
    )


def read_post(fields: Mapping[str, Any]) -> Post:
  """Checks a post's fields and finds its entities.

  Raises:
    ValueError: for a missing or mistyped field, or a name that does not occur
      in the text or occurs more than once; says where.
  """
  text = _read_text(fields.get("text"))
  return _cut_at(text, *(_chars(fields, r, text) for r in ("head", "tail")))


def _read_text(text: Any) -> str:
  """Returns the text of a string, or of a list of words without spaces."""
  if isinstance(text, list) and all(
    isinstance(word, str) and len(word.split()) == 1 for word in text
  ):
    text = " ".join(word.strip() for word in text)
  if not isinstance(text, str) or not text.strip():
    raise ValueError(f"text: want a text or a list of words, found {text!r}")
  # Half of a character, as "\ud83d" in JSON, is no text to a tokenizer.
  text.encode()
  return text


def _chars(fields: Mapping[str, Any], role: str, text: str) -> Span:
  """Returns the characters [begin, end) of an entity in the text."""
  if fields.get(f"{role}_span") is None:
    return _find(fields.get(role), role, text)
  words, span = _words(text), fields[f"{role}_span"]
  is_pair = isinstance(span, Sequence) and len(span) == 2
  if (
    not is_pair
    or not all(type(end) is int for end in span)
    or not 0 <= span[0] < span[1] <= len(words)
  ):
    raise ValueError(
      f"{role}_span: want [begin, end) within the text's {len(words)} words,"
      f" found {span!r}"
    )
  return words[span[0]].start(), words[span[1] - 1].end()


def _find(name: Any, role: str, text: str) -> Span:
  """Finds a name between word boundaries: not "Ann" in "Annapolis"."""
  if not isinstance(name, str) or not name.strip():
    raise ValueError(f"{role}: want a name in the text, found {name!r}")
  spaced = r"\s+".join(re.escape(part) for part in name.split())
  matches = re.finditer(rf"(?<!\w){spaced}(?!\w)", text)
  found = [match for match in matches if not _goes_on(text, match.end())]
  if len(found) == 1:
    return found[0].span()
  if not found:
    raise ValueError(f"{role}: {name!r} does not occur in the text")
  spans = (_touched(text, match.span()) for match in found)
  raise ValueError(
    f"{role}: {name!r} occurs {len(found)} times, at words"
    f" {', '.join(f'{begin}:{end}' for begin, end in spans)}; choose one by"
    f" {role}_span"
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


def _words(text: str) -> list[re.Match]:
  return list(re.finditer(r"\S+", text))


def _touched(text: str, chars: Span) -> Span:
  """Returns the words [begin, end) that characters [begin, end) touch."""
  words = _words(text)
  begin = bisect.bisect_right([word.end() for word in words], chars[0])
  return begin, bisect.bisect_left([w.start() for w in words], chars[1])


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
  span = lambda chars: tuple(bisect.bisect_left(starts, c) for c in chars)  # noqa: E731
  return Post(words, span(head), span(tail))
