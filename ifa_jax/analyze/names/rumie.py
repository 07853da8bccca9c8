"""Rows of MNRE that RUMIE's authors rewrote (github.com/pandinghao/RUMIE).

A file of `LVLM_test_datasets/mnre` is a list of chats: a question that ends in
"<image> text: ... Head entity: H ; Tail entity: T", the answer "H <spot>
relation <spot> T", and the path of the picture. It has neither the number of
the row nor the places of the names. Both follow from the original: a line is of
the test row with its picture and relation whose text, with the line's names in
the places of the row's, begins the line's text, spaces aside.
"""

import collections
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ifa_jax.analyze.names import outside
from ifa_jax.analyze.names.predict import Run
from ifa_jax.data.text.row_text import RowText
from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

_QUESTION = re.compile(
  r".*<image>\s*text:(.*)Head entity:(.*) ;\s*Tail entity:(.*)", re.DOTALL
)
_PART = "MNRE-V2"
_OTHER_PICTURES = "rule_vision_noise"


class Line(NamedTuple):
  """A row of a file: its picture's name, and all else as text."""

  picture: str
  text: str
  head: str
  tail: str
  relation: str


class Found(NamedTuple):
  """Rewritten rows.

  Attributes:
    texts: number of the test row -> its new text, not yet encoded.
    left_out: reason -> number of lines.
  """

  texts: dict[int, RowText]
  left_out: dict[str, int]


def read(run: Run, path: str) -> Found:
  """Finds the test rows of a file's lines.

  Raises:
    ValueError: for a file of another form, one that changes pictures, which it
      does not have, or one without any row of the test split.
  """
  by_picture = collections.defaultdict(list)
  for row, text in enumerate(run.texts):
    by_picture[text.img_id].append(row)
  texts: dict[int, RowText] = {}
  left_out = collections.Counter()
  for number, line in enumerate(_read_lines(path)):
    if line is None:
      left_out[f"lines that are not of {_PART}"] += 1
      continue
    rows = by_picture[line.picture]
    found = {row: x for row in rows for x in _fit(run, row, line)}
    if len(found) != 1:
      reason = "several test rows fit" if found else "no test row fits"
      left_out[f"lines left out, since {reason}"] += 1
      continue
    ((row, marked),) = found.items()
    if row in texts:
      left_out["lines left out, since one before is of the same row"] += 1
      continue
    post = outside.read_at(f"{path}, row {number}", {"text": marked})
    texts[row] = outside.with_post(run.texts[row], post)
  if not texts:
    raise ValueError(
      f"{path}: expected rows of the run's test split, got none in"
      f" {sum(left_out.values())} lines"
    )
  return Found(texts, dict(left_out))


def _fit(run: Run, row: int, line: Line) -> Iterator[str]:
  """Yields a line's text with the entities of a test row marked, if it fits."""
  relation = run.built.prepared.relations[run.original.gold[row]]
  if line.relation != relation.rsplit("/", 1)[-1].replace("_", " ").lower():
    return
  text = run.texts[row]
  entities = sorted([(text.head, line.head, "s"), (text.tail, line.tail, "o")])
  begun, end, marks = "", 0, []
  for span, name, mark in entities:
    begun += _squeeze(text.words[end : span[0]])
    marks.append((len(begun), f"<{mark}>"))
    begun += _squeeze(name)
    marks.append((len(begun), f"</{mark}>"))
    end = span[1]
  begun += _squeeze(text.words[end:])
  if _squeeze(line.text).startswith(begun):
    yield _insert(line.text, marks)


def _squeeze(text: str | Sequence[str]) -> str:
  """Returns a text, or words, without spaces."""
  return "".join("".join(text).split())


def _insert(text: str, marks: Sequence[tuple[int, str]]) -> str:
  """Inserts marks at places that do not count spaces."""
  places = [i for i, letter in enumerate(text) if not letter.isspace()]
  parts, end = [], 0
  for place, mark in marks:
    # A closing mark follows the letter before it, without its spaces.
    cut = places[place - 1] + 1 if mark[1] == "/" else places[place]
    parts += [text[end:cut], mark]
    end = cut
  return "".join([*parts, text[end:]])


def _read_lines(path: str) -> Iterator[Line | None]:
  """Yields the rows of a file, None for those of other datasets."""
  chats = json_file.load(path)
  if not isinstance(chats, list):
    raise ValueError(f"{path}: expected a list of chats, got {shown(chats)}")
  for number, chat in enumerate(chats):
    try:
      yield _read_chat(chat)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
      raise ValueError(
        f"{path}, row {number}: expected a chat with the text of a row, got"
        f" {str(error) or shown(chat)}"
      ) from None


def _read_chat(chat: Mapping[str, Any]) -> Line | None:
  picture = chat["images"][0]
  if _PART not in picture.split("/"):
    return None
  if _OTHER_PICTURES in picture.split("/"):
    raise ValueError("another picture, which the file does not have")
  question, answer = (message["content"] for message in chat["messages"])
  found = _QUESTION.fullmatch(question)
  _, relation, _ = answer.split("<spot>")
  if found is None:
    raise ValueError(f"the question {shown(question)}")
  text, head, tail = (part.strip() for part in found.groups())
  return Line(os.path.basename(picture), text, head, tail, relation.strip())
