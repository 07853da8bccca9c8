"""Blocks of JSON lines. A place is (offset in bytes, number of the line)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ifa_jax.files import json_file
from ifa_jax.inference import jsonl, questions


def places(path: str) -> Iterator[tuple[tuple[int, int], int]]:
  """Yields the place of each post and the number of its questions."""
  with open(path, "rb") as file:
    offset = 0
    for number, line in enumerate(jsonl.bounded_lines(file), start=1):
      if line.strip():
        yield (offset, number), _num_questions(line)
      offset = file.tell()


def _num_questions(line: bytes) -> int:
  # The key may be written with escapes.
  if b'"entities"' not in line and b"\\u" not in line:
    return 1
  try:
    return questions.count(json_file.parse(line.rstrip(), "", strict=True))
  except (ValueError, AttributeError):
    return 1


def read(path: str, place: Sequence[int]) -> Iterator[dict[str, Any]]:
  """Yields the posts from a place on."""
  offset, number = place
  with open(path, "rb") as file:
    file.seek(offset)
    yield from jsonl.read(file, number)


def write(path: str, found: Iterable[Mapping[str, Any]], source: str) -> None:
  """Writes the records of posts."""
  del source  # All files of JSON lines are alike.
  with jsonl.writing(path) as write_record:
    for record in found:
      write_record(record)
