"""Names composed of syllables, in the form of a given name.

The number of words stays, and of each word a leading "@" or "#" and whether it
begins with a capital or has only capitals. Of words without letters only the
digits change. Other punctuation and capitals within a word are not kept:

    @AnnLee NEWS 2018 &    @Vokani MERUT 5071 &
    O'Neil's iPhone (Ann)  Rigeba tovin makul
"""

import re
from collections.abc import Collection

import numpy as np

from ifa_jax.analyze.names.types import Words

_FIRST = ("b", "br", "d", "dr", "f", "g", "k", "kl", "l", "m", "n", "p", "r")
_FIRST += ("s", "st", "t", "tr", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u")
_LAST = ("", "k", "l", "m", "n", "r", "s", "t")


def name(
  like: Words, known: Collection[str], rng: np.random.Generator
) -> Words:
  """Returns an invented name in the form of another.

  Args:
    like: the other name.
    known: words in lower case, none of which is used.
    rng: of the syllables.
  """
  made = tuple(_word(word, known, rng) for word in like)
  if any(map(_letters, like)):
    return made
  # Digits or emoji alone would leave too little to draw from.
  return (_unknown(known, rng), *made[1:])


def _letters(word: str) -> re.Match | None:
  return re.search(r"[^\W\d_]", word)


def _word(like: str, known: Collection[str], rng: np.random.Generator) -> str:
  if not _letters(like):
    return re.sub(r"\d", lambda _: str(rng.integers(10)), like)
  mark = like[: like[0] in "@#"]
  core = like[len(mark) :]
  made = _unknown(known, rng)
  if core.isupper() and len(core) > 1:
    made = made.upper()
  elif core[0].isupper():
    made = made.capitalize()
  return mark + made


def _unknown(known: Collection[str], rng: np.random.Generator) -> str:
  made = ""
  while not made or made in known:
    parts = [
      part[rng.integers(len(part))]
      for _ in range(rng.integers(2, 4))
      for part in (_FIRST, _VOWELS)
    ]
    made = "".join(parts) + _LAST[rng.integers(len(_LAST))]
  return made
