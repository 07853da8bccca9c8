"""The word edges of MNRE-1's graphs: sentences that all count from 0.

A post's sentences follow each other, and the (governor, dependent) edges of
each are in the order of the dependents. Every sentence is a tree: all its words
but the root have one governor.

    [[1, 0], [1, 2], [1, 0]]   is   [[1, 0], [1, 2], [4, 3]]
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Edges = Sequence[Sequence[int]]


class Sentence(NamedTuple):
  """The text of a row.

  Attributes:
    heads: of each word, words from 0; -1 for roots.
    counts: what had to be mended, by its name.
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
      f"{where}: wanted the image's {len(objects)} edges at the end, found"
      f" {len(edges)} edges in all"
    )
  parsed, num_sentences = heads(edges[:num_word_edges], where)
  num_parsed = _num_parsed(edges[num_word_edges:], objects, len(parsed), where)
  # Sentences of one word have no edge that could tell where they stood.
  unplaced = num_parsed - len(parsed)
  return Sentence(
    fit(parsed + [-1] * unplaced, num_words),
    {
      "rows": 1,
      "rows of several sentences": num_sentences + unplaced > 1,
      "rows with other words parsed": num_parsed != num_words,
      "parsed words dropped": max(0, num_parsed - num_words),
      "words not parsed": max(0, num_words - num_parsed),
      "words of unknown place": unplaced,
    },
  )


def heads(edges: Edges, where: str) -> tuple[list[int], int]:
  """Returns the head of every word of a post, and the number of its sentences.

  A sentence of one word has no edge, and so leaves no trace here.

  Args:
    edges: (governor, dependent) by sentence, words from 0 in each.
    where: file and line, for messages.

  Returns:
    Words of the post from 0, -1 for roots.

  Raises:
    ValueError: for a sentence that is no tree.
  """
  found: list[int] = []
  sentences = _sentences(edges)
  for sentence in sentences:
    begin = len(found)
    tree = _tree(sentence, where)
    found += [head if head < 0 else begin + head for head in tree]
  return found, len(sentences)


def fit(parsed: Sequence[int], num_words: int) -> list[int]:
  """Returns the heads of a text whose words the parser counted otherwise.

  Words that only one of the two has are taken to be the last ones: parsed ones
  are dropped, and who hung on them becomes a root, as others do that were not
  parsed.

  Args:
    parsed: heads of the parser's words.
    num_words: of the text.
  """
  kept = [head if head < num_words else -1 for head in parsed[:num_words]]
  return kept + [-1] * (num_words - len(kept))


def _num_parsed(shifted: Edges, objects: Edges, least: int, where: str) -> int:
  """Returns how many words the parser counted.

  The objects' edges tell; without any, the sentences of one word are missing.

  Args:
    shifted: the image's edges in a row, with the number of words added.
    objects: the image's edges.
    least: words in sentences that have an edge.
    where: file and line, for messages.
  """
  if not objects:
    return least
  shifts = np.unique(np.subtract(shifted, objects)).tolist()
  if len(shifts) > 1 or shifts[0] < least:
    raise ValueError(
      f"{where}: wanted the image's edges with {least} or more words added,"
      f" found {str(shifts)[:80]}"
    )
  return shifts[0]


def _sentences(edges: Edges) -> list[Edges]:
  """Cuts where the dependents do not rise."""
  starts = [
    i for i, edge in enumerate(edges) if i == 0 or edge[1] <= edges[i - 1][1]
  ]
  return [edges[a:b] for a, b in itertools.pairwise([*starts, len(edges)])]


def _tree(sentence: Edges, where: str) -> list[int]:
  """Returns the head of each word of one sentence, -1 for its root."""
  num_words = 1 + max(max(edge) for edge in sentence)
  heads_of = {dependent: governor for governor, dependent in sentence}
  # All words but the roots have one governor.
  num_roots = num_words - len(heads_of)
  if num_roots > 1:
    raise ValueError(
      f"{where}: wanted a tree of {num_words} words with one root, found"
      f" {num_roots} roots"
    )
  if not num_roots or not _reach_root(heads_of):
    raise ValueError(f"{where}: wanted a tree of words, found a circle")
  return [heads_of.get(word, -1) for word in range(num_words)]


def _reach_root(heads_of: dict[int, int]) -> bool:
  """Tells whether every word has a path of governors to one without any."""
  settled: set[int] = set()
  for word in heads_of:
    path: dict[int, None] = {}
    while word in heads_of and word not in settled:
      if word in path:
        return False
      path[word] = None
      word = heads_of[word]
    settled |= path.keys()
  return True
