"""Posts as questions for a model: one pair of entities at a time."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ifa_jax.inference.images import Opener
from ifa_jax.inference.pairs import Entities, read_entities
from ifa_jax.inference.post import has_entities
from ifa_jax.inference.reader import Example, Reader

# Consecutive posts that one thread reads; a shared picture is opened once.
_MAX_SHARING = 8
# Pairs of one post that one thread reads.
_MAX_PAIRS = 64

Fields = Mapping[str, Any]
# A post without valid entities.
_NO_ENTITIES = Entities("", (), ())


class Question(NamedTuple):
  """A pair of entities of a post.

  Attributes:
    post: as `ifa_jax.inference` describes it.
    entities: of a post with entities, None for one with head and tail.
    pair: (head, tail) by index; None if there are no two entities.
    is_last: of its post.
    error: of the entities, None if they are valid.
  """

  post: Fields
  entities: Entities | None = None
  pair: tuple[int, int] | None = None
  is_last: bool = True
  error: str | None = None


def grouped(posts: Iterable[Fields]) -> Iterator[list[Question]]:
  """Groups the questions about consecutive posts that share a picture's file.

  The pairs of a post with entities are groups of their own.
  """
  for of_pairs, alike in itertools.groupby(posts, key=has_entities):
    if of_pairs:
      for post in alike:
        pairs = _of_pairs(post)
        while some := list(itertools.islice(pairs, _MAX_PAIRS)):
          yield some
      continue
    for _, sharing in itertools.groupby(alike, key=_file):
      while some := list(itertools.islice(sharing, _MAX_SHARING)):
        yield [Question(post) for post in some]


def count(post: Fields) -> int:
  """Returns the number of questions about a post."""
  return sum(map(len, grouped([post])))


def _of_pairs(post: Fields) -> Iterator[Question]:
  try:
    entities = read_entities(post)
  except ValueError as error:
    yield Question(post, _NO_ENTITIES, error=str(error))
    return
  count = len(entities.spans) * (len(entities.spans) - 1)
  if not count:
    yield Question(post, entities)
  for number, pair in enumerate(entities.pairs(), start=1):
    yield Question(post, entities, pair, number == count)


def _file(post: Fields) -> str | None:
  return image if isinstance(image := post.get("image"), str) else None


def read(
  reader: Reader, group: Sequence[Question]
) -> list[tuple[Question, Example | str | None]]:
  """Returns questions of a group with their model inputs, or their errors."""
  if group[0].entities is not None:
    return _read_pairs(reader, group)
  opener, found = Opener(), []
  for question in group:
    try:
      found.append((question, reader.read(question.post, opener)))
    except (ValueError, OSError) as error:
      found.append((question, str(error)))
  return found


def _read_pairs(
  reader: Reader, group: Sequence[Question]
) -> list[tuple[Question, Example | str | None]]:
  """Reads questions about one post; its picture is opened once."""
  post, entities, pair, _, error = group[0]
  if entities is None or pair is None:
    return [(group[0], error)]
  pairs = [
    ("entities[{}], entities[{}]".format(*x.pair), entities.post(*x.pair))
    for x in group
    if x.pair
  ]
  try:
    found = [*reader.read_pairs(pairs, post)]
  except (ValueError, OSError) as error:
    return [(question, str(error)) for question in group]
  return [*zip(group, found, strict=True)]
