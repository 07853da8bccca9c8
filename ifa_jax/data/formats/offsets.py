"""Head and tail of a JSON line, by characters or by words of its text."""

from collections.abc import Mapping, Sequence
from typing import Any

from ifa_jax.data.mnre import row as rows
from ifa_jax.data.mnre.row import RowError
from ifa_jax.data.text import markers
from ifa_jax.data.text.markers import Cut, Span
from ifa_jax.files.shown import shown

ROLES = ("head", "tail")
_KEYS = ("start", "end", "name", "type")
_UNITS = ("characters", "words")


def read(where: str, fields: Mapping[str, Any]) -> Cut:
  """Returns the words of a line and its entities.

  Raises:
    RowError: for a text or an entity that is malformed, offsets outside of the
      text, a name that is not at its offsets, or offsets inside a word that no
      name confirms.
  """
  text, unit = fields["text"], _unit(where, fields)
  if isinstance(text, str) and unit == "characters":
    _check_text(where, text)
    return markers.cut_at(
      text, *(_chars(where, r, fields[r], text) for r in ROLES)
    )
  if isinstance(text, str):
    _check_text(where, text)
    text = text.split()
  rows.check_words(where, text)
  head, tail = (_words(where, role, fields[role], text) for role in ROLES)
  names = (" ".join(text[slice(*span)]) for span in (head, tail))
  return Cut(text, head, tail, (next(names), next(names)))


def check_keys(
  where: str, kind: str, found: Mapping[str, Any], known: Sequence[str]
) -> None:
  """Raises RowError for a key that would not be read."""
  if other := [key for key in found if key not in known]:
    raise RowError(
      where,
      "unknown key",
      f"expected keys of {kind} ({', '.join(known)}), got {shown(other[0])}",
    )


def _unit(where: str, fields: Mapping[str, Any]) -> str:
  """Returns the unit of a line's offsets."""
  is_list = isinstance(fields["text"], list)
  allowed = _UNITS[1:] if is_list else _UNITS
  unit = fields.get("offsets")
  if unit is None:
    return allowed[0]
  if unit not in allowed:
    raise RowError(
      where,
      "bad offsets",
      f"expected {' or '.join(map(repr, allowed))} as 'offsets' of a"
      f" {'list of words' if is_list else 'string'}, got {shown(unit)}",
    )
  return unit


def _check_text(where: str, text: str) -> None:
  if not text.strip() or not rows.is_text(text):
    raise RowError(
      where,
      "bad text",
      f"expected a text or a list of words, got {shown(text)}",
    )


def _words(where: str, role: str, entity: Any, words: Sequence[str]) -> Span:
  """Returns the words [begin, end) of an entity."""
  begin, end = _read_span(where, role, entity, len(words), "words")
  there, name = " ".join(words[begin:end]), entity.get("name")
  if name is not None and "".join(name.split()) != "".join(there.split()):
    raise _misnamed(where, role, entity, there, "words")
  return begin, end


def _chars(where: str, role: str, entity: Any, text: str) -> Span:
  """Returns the characters [begin, end) of an entity."""
  begin, end = _read_span(where, role, entity, len(text), "characters")
  there, name = text[begin:end], entity.get("name")
  if name is not None and name.split() != there.split():
    raise _misnamed(where, role, entity, there, "characters")
  inside = there != there.strip() or any(
    markers.splits_word(text, place) or markers.goes_on(text, place)
    for place in (begin, end)
  )
  if not there.strip() or (inside and name is None):
    around = text[max(0, begin - 10) : end + 10]
    raise RowError(
      where,
      "bad span",
      f"expected {role!r} to begin and end with a word, its"
      f" {_convention('characters')}, got [{begin}, {end}), which is"
      f" {shown(there)} in {shown(around)}; a 'name' confirms part of a word",
    )
  return begin, end


def _read_span(where: str, role: str, entity: Any, num: int, unit: str) -> Span:
  """Returns [start, end) of an entity, within `num` units."""
  if not isinstance(entity, dict):
    raise RowError(
      where,
      "wrong type",
      f"expected an object of start and end as {role!r}, got {shown(entity)}",
    )
  check_keys(where, repr(role), entity, _KEYS)
  begin, end = entity.get("start"), entity.get("end")
  texts = [entity.get(key) for key in ("name", "type")]
  if (
    not (isinstance(begin, int) and isinstance(end, int))
    or bool in (type(begin), type(end))
    or not all(x is None or rows.is_text(x) for x in texts)
  ):
    raise RowError(
      where,
      "wrong type",
      f"expected two integers as start and end, and texts as name and type, of"
      f" {role!r}, got {shown(entity)}",
    )
  if not 0 <= begin < end <= num:
    raise RowError(
      where,
      "bad span",
      f"expected {role!r} in the {num} {unit} of the text, its"
      f" {_convention(unit)}, got [{shown(begin)}, {shown(end)})",
    )
  return begin, end


def _misnamed(
  where: str, role: str, entity: Mapping[str, Any], there: str, unit: str
) -> RowError:
  return RowError(
    where,
    "name differs from span",
    f"expected {role!r} to be named {shown(there)}, its {_convention(unit)}:"
    f" [{entity['start']}, {entity['end']}), got {shown(entity['name'])}",
  )


def _convention(unit: str) -> str:
  counted = " in code points" if unit == "characters" else ""
  return f"{unit} [start, end) counted{counted} from 0, the end exclusive"
