"""Queries that the published crops were found with, `phrase_text_*.json`.

    {"6": "Jungkook BTS person organization", "7": "London Jungkook"}

The query of a row (counted from 0) is the names of head and tail, followed by
the argument types of the gold relation, here /per/org/member_of; `misc` has no
word, and None no types. Names lack their "@" and "RT @" and keep HTML escapes,
so only the words after them are read.
"""

import itertools
import os
from typing import Any

import scipy.stats

from ifa_jax.analyze.leak import information
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown
from ifa_jax.statistics.metrics import ratio

# Digits of a row's number; Python refuses to read thousands.
_MAX_DIGITS = 18

_WORDS = {"per": "person", "org": "organization", "loc": "location"}

# A query made from text and picture only cannot name the types of more gold
# relations than this, misc included.
_MAX_WITHOUT_LABELS = 0.9


def gold_types(relation: str) -> tuple[str, ...]:
  """Returns ("person", "organization") for "/per/org/member_of"."""
  arguments = relation.strip("/").split("/")[:2]
  return tuple(_WORDS[name] for name in arguments if name in _WORDS)


def query_types(query: str, tail: str) -> tuple[str, ...]:
  """Returns the types at the end of a query, after the tail's name.

  The name in the text may itself end in such a word.
  """
  is_type = set(_WORDS.values()).__contains__
  asked, named = (
    len([*itertools.takewhile(is_type, reversed(text.split()))])
    for text in (query, tail)
  )
  return tuple(query.split()[len(query.split()) - asked + named :])


def read_queries(raw_dir: str, split: str) -> dict[int, str] | None:
  """Returns row -> query, rows from 0, or None if the split has no file.

  Raises:
    ValueError: for a file of another form; names it.
  """
  names = {"val": ("val", "dev")}.get(split, (split,))
  paths = [os.path.join(raw_dir, "txt", f"phrase_text_{n}.json") for n in names]
  path = next(filter(os.path.isfile, paths), None)
  if path is None:
    return None
  listed = json_file.load(path)
  if not isinstance(listed, dict):
    raise ValueError(
      f"{path}: expected an object of rows to queries, got a"
      f" {type(listed).__name__}"
    )
  for row, query in listed.items():
    is_number = row.isdecimal() and len(row) <= _MAX_DIGITS
    # "01" would be another key of row 1.
    is_number = is_number and row == str(int(row))
    if not is_number or not isinstance(query, str):
      raise ValueError(
        f"{path}: expected rows (0, 1, ...) and queries, got {row[:40]!r}:"
        f" {shown(query)}"
      )
  return {int(row): query for row, query in listed.items()}


def judge(equal: int, rows: int) -> dict[str, Any]:
  """Tests whether queries name the types of the gold relations.

  It is a leak if the share of relations whose types they end in exceeds 0.9,
  which no query made without the label reaches (exact test at 1 percent).

  Args:
    equal: queries that end in exactly these types.
    rows: with a relation that has types.
  """
  found = {"rows": rows, "equal": equal, "share": ratio(equal, rows)}
  if not rows:
    return found | {"verdict": information.TOO_FEW}
  tested = scipy.stats.binomtest(equal, rows)
  low, high = tested.proportion_ci(1 - 2 * information.ALPHA)
  verdict = information.verdict_of_bounds(low, high, _MAX_WITHOUT_LABELS)
  return found | {"verdict": verdict}
