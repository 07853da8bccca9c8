"""Answers of a model to questions, and records of posts made of them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ifa_jax.inference import records
from ifa_jax.inference.choose import Choice
from ifa_jax.inference.questions import Question
from ifa_jax.inference.reader import Example


class Answer(NamedTuple):
  """The answer to a question.

  Attributes:
    question: that was asked.
    names: of head and tail; empty without a pair.
    probabilities: float32[C]; empty without a pair or after an error.
    error: of the post, None if it is valid.
  """

  question: Question
  names: tuple[str, ...]
  probabilities: np.ndarray
  error: str | None


def of_batch(
  some: Sequence[tuple[Question, Example | str | None]],
  started: jax.Array | None,
) -> Iterator[Answer]:
  """Yields the answers of a batch.

  Args:
    some: questions with model inputs, an error, or None without a pair.
    started: float32[B, C], the first rows are those of the inputs.

  Raises:
    ValueError: for probabilities that are not finite.
  """
  rows = iter(() if started is None else np.asarray(started))
  for question, found in some:
    if not isinstance(found, Example):
      yield Answer(question, (), np.zeros(0, np.float32), found)
      continue
    yield Answer(question, found.names, records.finite(next(rows)), None)


def record(
  answers: Sequence[Answer],
  relations: Sequence[str],
  protocol: str,
  choice: Choice | None = None,
) -> dict[str, Any]:
  """Returns the record of a post.

  Args:
    answers: to all questions about the post.
    relations: names by id.
    protocol: of the training data.
    choice: of the relations of entities.
  """
  (post, entities, *_), names, probabilities, _ = answers[0]
  errors = [answer.error for answer in answers if answer.error is not None]
  if errors:
    return records.failed(post, errors[0])
  if entities is not None:
    pairs = [
      (*pair, x.probabilities) for x in answers if (pair := x.question.pair)
    ]
    chosen = (choice or Choice()).relations(pairs, entities.types, relations)
    return records.answered_pairs(post, entities.names, chosen, protocol)
  head, tail = names
  return records.answered(
    post, (head, tail), probabilities, relations, protocol
  )
