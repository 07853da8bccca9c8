"""Texts of the quickstart posts, which reveal only the entities' types.

A type shows in the words around an entity ("the company ..."), in the form of
its name ("... Records", "Lake ..."), or in both. Names are put together from
syllables, so nearly all names of the test split occur in no other split.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

_ONSETS = ("b", "br", "d", "dr", "f", "g", "k", "kr", "l", "m", "n", "p", "r")
_ONSETS += ("s", "st", "t", "tr", "v", "z")
_RHYMES = ("a", "e", "i", "o", "u", "al", "an", "ar", "el", "en", "er", "in")
_RHYMES += ("ol", "or", "un")
SYLLABLES = tuple(onset + rhyme for onset in _ONSETS for rhyme in _RHYMES)

ORG_SHAPES = ("{} Labs", "{} United", "FC {}", "{} Records", "{} Inc")
ORG_SHAPES += ("{} Group", "Radio {}", "{} Club")
LOC_SHAPES = ("{}ville", "{}burg", "Lake {}", "Port {}", "{} Beach")
LOC_SHAPES += ("{} Valley", "Mount {}", "{} Island")

# The form of the tail's name reveals its type.
OPEN_BODIES = (
  "{h} and {t} on my timeline again",
  "what a day for {h} and {t}",
  "{t} with {h} , just look at this",
  "from the archive : {h} {t}",
  "{h} {t} , all in one picture",
  "everyone is talking about {t} and {h}",
  "new photo of {h} and {t} out today",
  "{t} , {h} , what else do you need",
  "can not stop thinking of {h} with {t}",
  "{t} ! and of course {h}",
)
# The words around the tail reveal its type.
TOLD_BODIES = {
  "per": (
    "{h} had a long talk with her old friend {t}",
    "{h} said hello to him , his name is {t}",
    "he is called {t} and she is called {h}",
    "two people you should know : {t} {h}",
    "{t} smiled when {h} told him the story",
  ),
  "org": (
    "{h} in the new shirt of the team {t}",
    "{t} , the company in the news , and {h}",
    "{h} at a meeting of the band {t}",
    "the press office of {t} wrote about {h}",
    "shares of {t} are up , says {h}",
  ),
  "loc": (
    "{h} in the sunny streets of {t}",
    "{t} , the town by the river , and {h}",
    "{h} on the road to the city of {t}",
    "it rains all over {t} today , says {h}",
    "a map of {t} drawn by {h}",
  ),
}
OPENINGS = ("RT @{handle} :", "so happy this morning !", "photo of the day :")
OPENINGS += ("throwback from last summer :", "wow 😀 🔥", "ok , here it is :")
OPENINGS += ("breaking :", "this is so good 😂")
CLOSINGS = ("# {tag}", "😂 😂", "what do you think ?", "via @{handle}")
CLOSINGS += ("# {tag} # {tag}", "see you all there 🎉", ". more soon ...")
CLOSINGS += ("and it was great 👏",)
# The words around an emblem in the caption of its picture.
CAPTIONS = ("a photo of a {}", "the {} , and two people", "a {} by the river")
CAPTIONS += ("people with a {}", "a picture of the {} , and more")
TAG_WORDS = ("weekend", "photo", "news", "love", "live", "music", "travel")
MIN_WORDS = 8


def compose(tail_type: str, rng: np.random.Generator) -> dict[str, Any]:
  """Writes one text about a person and another entity.

  Args:
    tail_type: "per", "org" or "loc"; the head is always a person.
    rng: draws the text.

  Returns:
    {"token": [word, ...], "h": span, "t": span} as in MNRE's files, a span
    being {"name": "Mira Tovan", "pos": [begin, end]}, begin <= word < end.
  """
  told = rng.random() < 0.5
  body = _pick(TOLD_BODIES[tail_type] if told else OPEN_BODIES, rng)
  head = _person(rng)
  tail = head
  while tail == head:
    tail = _person(rng) if tail_type == "per" else _named(tail_type, told, rng)
  before, after = _surroundings(len(f"{body} {head} {tail}".split()) - 2, rng)
  words = " ".join([*before, body, *after])
  words = re.sub(r"\{(?:handle|tag)\}", lambda slot: _filler(slot, rng), words)
  return _place(words.split(), {"h": head, "t": tail})


def caption(emblem: str, rng: np.random.Generator) -> str:
  """Describes the picture of a post, which shows an emblem."""
  return _pick(CAPTIONS, rng).format(emblem)


def template_words() -> str:
  """Returns all text of the templates as one string, without the slots."""
  told = sum(TOLD_BODIES.values(), ())
  parts = (*OPEN_BODIES, *told, *OPENINGS, *CLOSINGS)
  parts += (*TAG_WORDS, *ORG_SHAPES, *LOC_SHAPES)
  return re.sub(r"\{\w*\}", " ", " ".join(parts))


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
  return options[int(rng.integers(len(options)))]


def _syllables(low: int, high: int, rng: np.random.Generator) -> str:
  """Returns a capitalized word of `low` to `high` syllables."""
  count = rng.integers(low, high + 1)
  return "".join(_pick(SYLLABLES, rng) for _ in range(count)).capitalize()


def _person(rng: np.random.Generator) -> str:
  """Returns a first name, a first and a last name, or a handle."""
  first = _syllables(2, 2, rng)
  form = rng.random()
  if form < 0.55:
    return f"{first} {_syllables(2, 3, rng)}"
  return first if form < 0.8 else f"@{first}_{_syllables(1, 1, rng)}"


def _named(entity_type: str, told: bool, rng: np.random.Generator) -> str:
  """Returns a name; half of those with a telling text have no telling form."""
  stem = _syllables(2, 3, rng)
  if told and rng.random() < 0.5:
    return stem
  shapes = ORG_SHAPES if entity_type == "org" else LOC_SHAPES
  return _pick(shapes, rng).format(stem)


def _surroundings(
  body_len: int, rng: np.random.Generator
) -> tuple[list[str], list[str]]:
  """Picks the text before and after a body of so many words.

  Half of the posts begin with their body and half end with it, so that spans
  often touch either end; short ones are filled up to `MIN_WORDS`.
  """
  before = [_pick(OPENINGS, rng)] if rng.random() < 0.5 else []
  after = [_pick(CLOSINGS, rng)] if rng.random() < 0.5 else []
  while body_len + len(" ".join([*before, *after]).split()) < MIN_WORDS:
    if rng.random() < 0.5:
      before.append(_pick(OPENINGS, rng))
    else:
      after.append(_pick(CLOSINGS, rng))
  return before, after


def _filler(slot: re.Match, rng: np.random.Generator) -> str:
  if slot.group() == "{tag}":
    return _pick(TAG_WORDS, rng)
  return _syllables(2, 3, rng).lower()


def _place(words: list[str], names: dict[str, str]) -> dict:
  """Replaces "{h}" and "{t}" by names and records their spans."""
  tokens, spans = [], {}
  for word in words:
    role = word.strip("{}")
    if word == role:
      tokens.append(word)
      continue
    begin = len(tokens)
    tokens += names[role].split()
    spans[role] = {"name": names[role], "pos": [begin, len(tokens)]}
  return {"token": tokens, "h": spans["h"], "t": spans["t"]}
