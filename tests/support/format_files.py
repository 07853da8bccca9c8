"""Small files of the formats that `data.formats` reads."""

import json
import pathlib

from ifa_jax.data import schema
from ifa_jax.data.formats import registry

NO_FILES = dict.fromkeys(schema.SPLITS, ())


def line(
  text="Bill Cosby in Hollywood", head=(0, 10), tail=(14, 23), **changes
):
  """Returns a JSON line as a dict; `changes` replace keys, None removes.

  Tuples as head and tail are (start, end).
  """
  found = {
    "text": text,
    "head": _entity(head),
    "tail": _entity(tail),
    "relation": "visits",
    **changes,
  }
  return {key: value for key, value in found.items() if value is not None}


def _entity(given):
  is_span = isinstance(given, tuple)
  return {"start": given[0], "end": given[1]} if is_span else given


def write_jsonl(folder, rows):
  """Writes rows (a list, or lists by split); strings are lines as they are."""
  by_split = (
    rows if isinstance(rows, dict) else dict.fromkeys(schema.SPLITS, rows)
  )
  pathlib.Path(folder).mkdir(exist_ok=True)
  for split, listed in by_split.items():
    text = "".join(
      f"{x if isinstance(x, str) else json.dumps(x, ensure_ascii=False)}\n"
      for x in listed
    )
    path = pathlib.Path(folder) / f"{split}.jsonl"
    path.write_text(text, encoding="utf-8")
  return str(folder)


def few(tokens, head, tail, names=None):
  """Returns a row of FewRel; head and tail are lists of word indices."""
  words = tokens.split()
  names = names or [
    " ".join(words[i] for i in x if i < len(words)).lower()
    for x in (head, tail)
  ]
  return {
    "tokens": words,
    "h": [names[0], "Q1", [head]],
    "t": [names[1], "Q2", [tail]],
  }


def open_reader(folder, name="jsonl", files=NO_FILES, shares=()):
  return registry.open_reader(name, str(folder), files, shares)
