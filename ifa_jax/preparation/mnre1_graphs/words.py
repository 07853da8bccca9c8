"""The word edges of MNRE-1's graphs, whose sentences all count from 0.

A post's sentences follow each other, and the (governor, dependent) edges of
each are in the order of the dependents. Every sentence is a tree: all its words
but the root have one governor.

    [[1, 0], [1, 2], [1, 0]]   is   [[1, 0], [1, 2], [4, 3]]
"""

import graphlib
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Edges = Sequence[Sequence[int]]

# The counts of a `Sentence`.
COUNTED = (
  "rows",
  "rows of several sentences",
  "rows with other words parsed",
  "parsed words dropped",
  "words not parsed",
  "words of unknown place",
)


class Sentence(NamedTuple):
  """The text of a row.

  Attributes:
    heads: the head of each word, words from 0; -1 for roots.
    counts: by the names in `COUNTED`.
  """

  heads: list[int]
  counts: dict[str, int]


def read(edges: Edges, objects: Edges, num_words: int, where: str) -> Sentence:
  """Returns the heads of a row's words.

  Args:
    edges: of the row: words', then objects' with the number of words added.
    objects: edges of the row's image.
    num_words: of the text.
    where: file and line, for messages.

  Raises:
    ValueError: if the row contradicts itself or the image.
  """
  num_word_edges = len(edges) - len(objects)
  if num_word_edges < 0:
    raise ValueError(
      f"{where}: expected the image's {len(objects)} edges at the end, got"
      f" {len(edges)} edges in all"
    )
  parsed, num_sentences = heads(edges[:num_word_edges], where)
  num_parsed = _num_parsed(edges[num_word_edges:], objects, len(parsed), where)
  # The place of a sentence of one word is unknown: it has no edge.
  unplaced = num_parsed - len(parsed)
  counts = (
    1,
    num_sentences + unplaced > 1,
    num_parsed != num_words,
    max(0, num_parsed - num_words),
    max(0, num_words - num_parsed),
    unplaced,
  )
  return Sentence(
    fit(parsed + [-1] * unplaced, num_words),
    dict(zip(COUNTED, counts, strict=True)),
  )


def heads(edges: Edges, where: str) -> tuple[list[int], int]:
  """Returns the head of every word of a post, and the number of its sentences.

  A sentence of one word has no edge, and is missing in both.

  Args:
    edges: (governor, dependent) by sentence, words from 0 in each.
    where: file and line, for messages.

  Returns:
    Words of the post from 0, -1 for roots.

  Raises:
    ValueError: for a sentence that is not a tree.
  """
  # A sentence begins where the dependents do not rise.
  starts = [
    i for i, edge in enumerate(edges) if i == 0 or edge[1] <= edges[i - 1][1]
  ]
  found: list[int] = []
  for a, b in itertools.pairwise([*starts, len(edges)]):
    begin = len(found)
    tree = _tree(edges[a:b], where)
    found += [head if head < 0 else begin + head for head in tree]
  return found, len(starts)


def fit(parsed: Sequence[int], num_words: int) -> list[int]:
  """Returns the heads of a text that the parser split into other words.

  Words that only one side has are assumed to be the last ones. Extra parsed
  words are dropped, and their dependents become roots; extra words of the text
  become roots.

  Args:
    parsed: heads of the parser's words.
    num_words: of the text.
  """
  kept = [head if head < num_words else -1 for head in parsed[:num_words]]
  return kept + [-1] * (num_words - len(kept))


def _num_parsed(shifted: Edges, objects: Edges, least: int, where: str) -> int:
  """Returns the parser's number of words, which objects' edges are shifted by.

  Without any, it is taken to be the number of words that have an edge, `least`.
  """
  if not objects:
    return least
  shifts = np.unique(np.subtract(shifted, objects)).tolist()
  if len(shifts) > 1 or shifts[0] < least:
    raise ValueError(
      f"{where}: expected the image's edges with {least} or more words added,"
      f" got {str(shifts)[:80]}"
    )
  return shifts[0]


def _tree(sentence: Edges, where: str) -> list[int]:
  """Returns the head of each word of one sentence, -1 for its root."""
  num_words = 1 + max(max(edge) for edge in sentence)
  heads_of = {dependent: governor for governor, dependent in sentence}
  num_roots = num_words - len(heads_of)
  if num_roots > 1:
    raise ValueError(
      f"{where}: expected a tree of {num_words} words with one root, got"
      f" {num_roots} roots"
    )
  try:
    graphlib.TopologicalSorter({d: [g] for d, g in heads_of.items()}).prepare()
  except graphlib.CycleError:
    raise ValueError(
      f"{where}: expected a tree of words, got a cycle"
    ) from None
  return [heads_of.get(word, -1) for word in range(num_words)]
