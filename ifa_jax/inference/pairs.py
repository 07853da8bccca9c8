"""The entities of a post, checked, and the pairs of them.

    {"text": "Ann joins Acme", "entities": [
        {"start": 0, "end": 3, "type": "per"},
        {"start": 10, "end": 14, "type": "org", "name": "Acme"}]}

Offsets are in characters (Unicode code points) if the text is a string, and in
words if it is a list; `offsets` may be "characters" or "words" instead. The end
is exclusive. Entities may overlap. One whose offsets cut a word needs its name.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ifa_jax.data.text import markers
from ifa_jax.data.text.markers import Cut, Span
from ifa_jax.files.shown import shown
from ifa_jax.inference import post as posts

# They have 9 900 pairs.
MAX_ENTITIES = 100

_HEAD_AND_TAIL = ("head", "tail", "head_span", "tail_span")
# Changes of (start, end) that an offset that is one off needs.
_NEAR = ((-1, -1), (1, 1), (0, 1), (0, -1), (-1, 0), (1, 0))
_CONVENTIONS = {
  "characters": "characters {}:{} (Unicode code points, end exclusive)",
  "words": "words {}:{} (separated by spaces, end exclusive)",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Entities:
  """The entities of one post.

  Attributes:
    text: of the post.
    spans: characters [begin, end) of each entity.
    types: of each entity, None without one.
  """

  text: str
  spans: Sequence[Span]
  types: Sequence[str | None]

  @property
  def names(self) -> list[str]:
    """The words of each entity, with single spaces."""
    return [" ".join(self.text[b:e].split()) for b, e in self.spans]

  def pairs(self) -> Iterator[tuple[int, int]]:
    """Yields (head, tail), every ordered pair of different entities."""
    return itertools.permutations(range(len(self.spans)), 2)

  def post(self, head: int, tail: int) -> Cut:
    """Returns the post of one pair."""
    return markers.cut_at(self.text, self.spans[head], self.spans[tail])


def read_entities(fields: Mapping[str, Any]) -> Entities:
  """Checks the entities of a post.

  Raises:
    ValueError: for offsets that do not fit the text or the names, two equal
      entities, or a mistyped field.
  """
  text = posts.read_text(fields.get("text"))
  unit = _unit(fields)
  for key in _HEAD_AND_TAIL:
    if fields.get(key) is not None:
      raise ValueError(
        f"{key}: expected none in a post with entities, got"
        f" {shown(fields[key])}"
      )
  listed = fields["entities"]
  if not isinstance(listed, list) or len(listed) > MAX_ENTITIES:
    raise ValueError(
      f"entities: expected a list of at most {MAX_ENTITIES}, got"
      f" {len(listed) if isinstance(listed, list) else shown(listed)}"
    )
  spans = [
    _read_one(f"entities[{i}]", entity, unit, text)
    for i, entity in enumerate(listed)
  ]
  for i, span in enumerate(spans):
    if (first := spans.index(span)) != i:
      raise ValueError(
        f"entities[{i}]: expected another text than entities[{first}], got"
        f" {shown(text[slice(*span)])} at characters {span[0]}:{span[1]} twice"
      )
  return Entities(text, spans, [entity.get("type") for entity in listed])


def _unit(fields: Mapping[str, Any]) -> str:
  """Returns the unit of the offsets, "words" or "characters"."""
  is_words = isinstance(fields.get("text"), list)
  unit = fields.get("offsets")
  if unit is None:
    return "words" if is_words else "characters"
  if unit not in [*_CONVENTIONS] or (is_words and unit == "characters"):
    wanted = "words" if is_words else "words or characters"
    raise ValueError(f"offsets: expected {wanted}, got {shown(unit)}")
  return unit


def _read_one(where: str, entity: Any, unit: str, text: str) -> Span:
  """Returns the characters [begin, end) of an entity."""
  if not isinstance(entity, Mapping):
    raise ValueError(
      f"{where}: expected an object with start and end, got {shown(entity)}"
    )
  for key in ("name", "type"):
    value = entity.get(key)
    if value is not None and not (isinstance(value, str) and value.strip()):
      raise ValueError(f"{where}.{key}: expected a text, got {shown(value)}")
  given, name = _offsets(where, entity, unit, text), entity.get("name")
  span = given
  if unit == "words":
    span = posts.chars_of_words(given, where, text)
  found = text[slice(*span)]
  if name is None:
    if not _is_whole(text, span):
      raise ValueError(_whole_words(where, text, span))
    return span
  if posts.is_name(name, found) and found == found.strip():
    return span
  if unit == "words":
    # The words "Ann," with the name "Ann".
    inside = [x for x in _places(name, text) if _words(text, x) == given]
    if len(inside) == 1:
      return inside[0]
  raise ValueError(_other_name(where, name, given, found, unit, text))


def _offsets(
  where: str, entity: Mapping[str, Any], unit: str, text: str
) -> Span:
  """Returns start and end as they are given."""
  start, end = entity.get("start"), entity.get("end")
  size = len(text) if unit == "characters" else len(markers.words(text))
  if (
    type(start) is not int
    or type(end) is not int
    or not 0 <= start < end <= size
  ):
    raise ValueError(
      f"{where}: expected start < end within the text's {size} {unit} (end"
      f" exclusive), got {shown(start)}:{shown(end)}"
      f"{_other_units(entity.get('name'), (start, end), unit, text)}"
    )
  return start, end


def _is_whole(text: str, span: Span) -> bool:
  """Returns whether characters begin and end with words."""
  begin, end = span
  if not 0 <= begin < end <= len(text):
    return False
  found = text[begin:end]
  return found == found.strip() and not any(
    markers.splits_word(text, place) or markers.goes_on(text, place)
    for place in span
  )


def _whole_words(where: str, text: str, span: Span) -> str:
  """Returns the error for offsets that cut a word."""
  near = [_stripped(text, span[0] + a, span[1] + b) for a, b in _NEAR]
  near = [place for place in near if _is_whole(text, place)]
  return (
    f"{where}: expected whole words at {_at('characters', span)}, got"
    f" {shown(text[slice(*span)])}{_listed(near[:1], text, 'characters')}"
  )


def _stripped(text: str, begin: int, end: int) -> Span:
  """Returns a span without the spaces around it."""
  part = text[max(begin, 0) : end]
  begin = max(begin, 0) + len(part) - len(part.lstrip())
  return begin, begin + len(part.strip())


def _other_name(
  where: str, name: str, given: Span, found: str, unit: str, text: str
) -> str:
  """Returns the error for a name that is not at its offsets."""
  places = _listed(_places(name, text)[:3], text, unit)
  places = places or "; the text does not contain it"
  return (
    f"{where}: expected the name {shown(name)} at {_at(unit, given)}, got"
    f" {shown(found)}{places}{_other_units(name, given, unit, text)}"
  )


def _other_units(name: Any, given: Any, unit: str, text: str) -> str:
  """Returns the units in which offsets would fit the name, for an error."""
  is_span = all(type(x) is int and 0 <= x <= 4 * len(text) for x in given)
  if unit == "words" or not isinstance(name, str) or not is_span:
    return ""
  begin, end = given
  wide = text.encode("utf-16-le")[2 * begin : 2 * end]
  narrow = text.encode()[begin:end]
  readings = {
    "in UTF-16 code units": wide.decode("utf-16-le", "replace"),
    "in bytes of UTF-8": narrow.decode(errors="replace"),
    "if CRLF were one character": text.replace("\r\n", "\n")[begin:end],
    "in words": " ".join(text.split()[begin:end]),
  }
  fits = [how for how, read in readings.items() if posts.is_name(name, read)]
  return f"; the offsets would fit {' or '.join(fits)}" if fits else ""


def _places(name: str, text: str) -> list[Span]:
  return list(posts.occurrences(name, text))


def _words(text: str, span: Span) -> Span:
  return markers.touched(markers.words(text), span)


def _at(unit: str, span: Span) -> str:
  return _CONVENTIONS[unit].format(*span)


def _listed(places: Sequence[Span], text: str, unit: str) -> str:
  """Returns "; 'Acme' is at 10:14", nothing without places."""
  if not places:
    return ""
  offsets = [x if unit == "characters" else _words(text, x) for x in places]
  listed = ", ".join(f"{begin}:{end}" for begin, end in offsets)
  return f"; {shown(text[slice(*places[0])])} is at {listed}"
