"""Whole words, lower-cased, to ids: the input of PCNN."""

import codecs
import logging
import operator
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ifa_jax.data.text.row_text import Reader, RowText, id_reader

_log = logging.getLogger("ifa_jax")
# Padding and unknown words, with the ids of `models.baselines.pcnn`.
SPECIAL = ("[PAD]", "[UNK]")
# Words are padded to a multiple, so that few shapes are compiled.
_MULTIPLE = 8
_BREAK = re.compile(r"[\n\r]")


class Vocabulary:
  """Words by id, `SPECIAL` first."""

  def __init__(self, words: Iterable[str]):
    """Numbers distinct words, after `SPECIAL`."""
    listed = dict.fromkeys([*SPECIAL, *words])
    self._ids = {word: number for number, word in enumerate(listed)}

  def __len__(self) -> int:
    """Returns the number of ids, `SPECIAL` included."""
    return len(self._ids)

  @classmethod
  def of_texts(cls, texts: Iterable[RowText]) -> "Vocabulary":
    """Numbers the words of texts in the order of their first occurrence."""
    words = (word.lower() for text in texts for word in text.words)
    # Others would not fit on one line of `lines`.
    return cls(word for word in words if not _BREAK.search(word))

  @classmethod
  def of_vectors(cls, vectors: "Vectors") -> "Vocabulary":
    """Numbers the lower-cased words of vectors; see `start_table`."""
    lower = [w if w in SPECIAL else w.lower() for w in vectors.words]
    num_cased = sum(map(operator.ne, lower, vectors.words))
    if num_cased:
      _log.warning(
        "Word vectors: %d of %d words have capitals, but texts are lower-cased;"
        " a word has the vector of its own spelling, or else that of the first"
        " that differs in capitals",
        *(num_cased, len(lower)),
      )
    return cls(lower)

  @classmethod
  def load(cls, path: str | os.PathLike) -> "Vocabulary":
    """Reads a file of `lines`.

    Raises:
      ValueError: if it is not text, or the line numbers are not the ids.
    """
    with open(path, encoding="utf-8-sig") as file:
      try:
        words = file.read().removesuffix("\n").split("\n")
      except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text: {error}") from None
    vocabulary = cls(words)
    if [*vocabulary] != words:
      raise ValueError(
        f"{path}: expected {', '.join(SPECIAL)} and then each word once, got"
        f" {len(words)} lines that make {len(vocabulary)} words"
      )
    return vocabulary

  def __iter__(self) -> Iterator[str]:
    """Yields the words in the order of their ids."""
    return iter(self._ids)

  def lines(self) -> str:
    """Returns one word per line, in the order of their ids."""
    return "".join(f"{word}\n" for word in self)

  def encode(self, words: Sequence[str]) -> list[int]:
    """Returns the id of each word, lower-cased."""
    unknown = self._ids[SPECIAL[1]]
    return [self._ids.get(word.lower(), unknown) for word in words]


class Vectors(NamedTuple):
  """Pretrained word vectors.

  Attributes:
    words: in the spelling of the file.
    table: float32[len(words), D].
  """

  words: list[str]
  table: np.ndarray


def read_vectors(path: str | os.PathLike) -> Vectors:
  """Reads the text format of GloVe, word2vec or fastText.

  A line has a word and D numbers. word2vec and fastText begin with a line of
  the numbers of words and dimensions, and fastText ends lines with a space.
  GloVe 840B has words with spaces, such as ". . .": D is that of the first
  line, and everything before the last D numbers is the word.

  Raises:
    ValueError: for a malformed line, naming it.
  """
  words: list[str] = []
  rows: list[np.ndarray] = []
  header = None
  with open(path, "rb") as file:
    for number, line in enumerate(file, start=1):
      if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
      # Splits bytes: a no-break space is part of a word.
      parts = line.split()
      if number == 2 and _is_header(words, rows, parts):
        header = words.pop(), rows.pop()
      dim = rows[0].size if rows else max(len(parts) - 1, 0)
      try:
        word, row = _read_line(parts, dim)
      except ValueError:
        wanted = f"{dim} numbers" if rows else "numbers"
        found = line.rstrip()[:60].decode(errors="replace")
        raise ValueError(
          f"{path}:{number}: expected a word and {wanted}, got {found!r}"
        ) from None
      words.append(word)
      rows.append(row)
  if not rows:
    raise ValueError(f"{path}: expected word vectors, got an empty file")
  if header and int(header[0]) != len(words):
    _log.warning(
      "%s: expected %s words by its first line, got %d",
      *(path, header[0], len(words)),
    )
  return Vectors(words, np.stack(rows))


def _is_header(
  words: Sequence[str], rows: Sequence[np.ndarray], second: Sequence[bytes]
) -> bool:
  """Returns whether the first line was a header, judging by the second."""
  is_pair = len(rows) == 1 and rows[0].size == 1 and words[0].isdecimal()
  return is_pair and len(second) > 2 and rows[0][0] == len(second) - 1


def _read_line(parts: Sequence[bytes], dim: int) -> tuple[str, np.ndarray]:
  """Returns the word and float32[dim], or raises an empty ValueError."""
  first = len(parts) - dim
  if not dim or first < 1 or any(map(_is_number, parts[1:first])):
    raise ValueError
  # Numbers beyond float32 become infinite.
  with np.errstate(over="ignore"):
    row = np.array([*map(float, parts[first:])], np.float32)
  if not np.isfinite(row).all():
    raise ValueError
  return b" ".join(parts[:first]).decode(), row


def _is_number(part: bytes) -> bool:
  try:
    float(part)
  except ValueError:
    return False
  return True


def start_table(
  fresh: np.ndarray, vocabulary: Vocabulary, vectors: Vectors
) -> np.ndarray:
  """Returns `fresh`, float32[V, D], with pretrained rows where available.

  A word gets the vector of its own spelling, or else the file's first one that
  differs only in capitals. `SPECIAL` words require their own spelling.

  Raises:
    ValueError: for vectors of another width than D.
  """
  if vectors.table.shape[1] != fresh.shape[1]:
    raise ValueError(
      f"data.word_vectors: expected vectors of model.word_dim {fresh.shape[1]}"
      f" numbers, got {vectors.table.shape[1]}"
    )
  exact: dict[str, int] = {}
  lowered: dict[str, int] = {}
  for row, word in enumerate(vectors.words):
    exact.setdefault(word, row)
    if word not in SPECIAL:
      lowered.setdefault(word.lower(), row)
  table = np.array(fresh)
  for number, word in enumerate(vocabulary):
    row = exact.get(word, lowered.get(word))
    if row is not None:
      table[number] = vectors.table[row]
  return table


def word_reader(
  texts: Sequence[RowText], vocabulary: Vocabulary, max_words: int
) -> Reader:
  """Returns the reader of a split's words, truncated to `max_words`."""
  longest = min(max(len(text.words) for text in texts), max_words)
  width = min(-(-longest // _MULTIPLE) * _MULTIPLE, max_words)
  return id_reader(
    ("words", "word_mask", "head_word", "tail_word"),
    [vocabulary.encode(text.words)[:width] for text in texts],
    [(text.head[0], text.tail[0]) for text in texts],
    width,
  )
