"""The queries that the published crops were found by, `phrase_text_*.json`.

    {"6": "Jungkook BTS person organization", "7": "London Jungkook"}

A row's query (rows count from 0) names head and tail, and behind them the types
of the arguments in the gold relation, here /per/org/member_of; `misc` has no
word, and rows without a relation have none at all. Names have lost their "@"
and "RT @" and keep their HTML escapes, so only the words behind them are read.
"""

import itertools
import os
from collections.abc import Sequence
from typing import Any

import scipy.stats

from ifa_jax.analyze.leak import verdicts
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown
from ifa_jax.statistics.metrics import ratio

# Of a line's number; Python refuses to read thousands.
_MOST_DIGITS = 18

_WORDS = {"per": "person", "org": "organization", "loc": "location"}

# A query that knows no more than text and picture cannot name the types of more
# gold relations than this, misc included.
_MAX_WITHOUT_LABELS = 0.9


def gold_types(relation: str) -> tuple[str, ...]:
  """Returns ("person", "organization") for "/per/org/member_of"."""
  arguments = relation.strip("/").split("/")[:2]
  return tuple(_WORDS[name] for name in arguments if name in _WORDS)


def query_types(query: str, tail: str) -> tuple[str, ...]:
  """Returns the types at the end of a query, behind the tail's name.

  Args:
    query: "Jungkook BTS person organization".
    tail: its name in the text, which may itself end in such a word.
  """
  return _type_words(query)[len(_type_words(tail)) :]


def _type_words(text: str) -> tuple[str, ...]:
  """Returns the last words as long as they are types."""
  last = itertools.takewhile(
    set(_WORDS.values()).__contains__, reversed(text.split())
  )
  return tuple(last)[::-1]


def read_queries(raw_dir: str, split: str) -> dict[int, str] | None:
  """Returns line -> query, lines from 0, or None if the split has no file.

  Raises:
    ValueError: if the file is not of its form; names it.
  """
  names = {"val": ("val", "dev")}.get(split, (split,))
  paths = [os.path.join(raw_dir, "txt", f"phrase_text_{n}.json") for n in names]
  path = next(filter(os.path.isfile, paths), None)
  if path is None:
    return None
  listed = json_file.load(path)
  if not isinstance(listed, dict):
    found = type(listed).__name__
    raise ValueError(
      f"{path}: wanted an object of lines to queries, found a {found}"
    )
  for line, query in listed.items():
    is_number = line.isdecimal() and len(line) <= _MOST_DIGITS
    if not is_number or not isinstance(query, str):
      raise ValueError(
        f"{path}: wanted lines and queries, found {line[:40]!r}: {shown(query)}"
      )
  return {int(line): query for line, query in listed.items()}


def compare(
  gold: Sequence[tuple[str, ...]],
  asked: Sequence[tuple[str, ...]],
  has_relation: Sequence[bool],
) -> dict[str, int]:
  """Counts the rows whose query ends in exactly the gold relation's types.

  Args:
    gold: `gold_types` of each row.
    asked: `query_types` of each row.
    has_relation: of each row.

  Returns:
    For rows without a relation, with one, and with one that has types: how many
    there are, and how many queries end in just these words (in none, where
    there is none).
  """
  rows = [
    (related, bool(types), types == words)
    for types, words, related in zip(gold, asked, has_relation, strict=True)
  ]
  kinds = {
    "none": lambda related, typed: not related,
    "relation": lambda related, typed: related,
    "typed": lambda related, typed: related and typed,
  }
  counts = {}
  for name, is_of_kind in kinds.items():
    equal = [
      same for related, typed, same in rows if is_of_kind(related, typed)
    ]
    counts |= {f"{name}_rows": len(equal), f"{name}_equal": sum(equal)}
  return counts


def judge(splits: Sequence[dict[str, int]]) -> dict[str, Any]:
  """Says whether queries name the types of the gold relations.

  It is a leak if the share of relations whose types they end in is surely (99
  percent, exact) above nine in ten, which no query built without the label
  reaches.

  Args:
    splits: `compare` of each.
  """
  equal = sum(split["typed_equal"] for split in splits)
  rows = sum(split["typed_rows"] for split in splits)
  found = {"rows": rows, "equal": equal, "share": ratio(equal, rows)}
  if not rows:
    return found | {"verdict": verdicts.TOO_FEW}
  tested = scipy.stats.binomtest(equal, rows)
  low, high = tested.proportion_ci(1 - 2 * verdicts.ALPHA)
  return found | {"verdict": verdicts.of_bounds(low, high, _MAX_WITHOUT_LABELS)}
