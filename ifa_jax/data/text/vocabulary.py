"""Whole words, lower-cased, to ids: what PCNN reads."""

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.data.text.row_text import RowText

# As `models.baselines.pcnn` has them: padding, and words out of the vocabulary.
SPECIAL = ("[PAD]", "[UNK]")
# Words are padded to a multiple of this, so that few shapes are compiled.
_MULTIPLE = 8
_BREAK = re.compile(r"[\n\r]")


class Vocabulary:
  """Words by id, `SPECIAL` first."""

  def __init__(self, words: Iterable[str]):
    """Numbers words; `SPECIAL` is put in front where it is not there."""
    listed = dict.fromkeys([*SPECIAL, *words])
    self._ids = {word: number for number, word in enumerate(listed)}

  def __len__(self) -> int:
    """Returns the number of ids, `SPECIAL` included."""
    return len(self._ids)

  @classmethod
  def of_texts(cls, texts: Iterable[RowText]) -> "Vocabulary":
    """Numbers the words of texts as they first occur.

    Words that do not fit into a line of `lines` stay unknown.
    """
    spoken = (word.lower() for text in texts for word in text.words)
    return cls(word for word in spoken if not _BREAK.search(word))

  @classmethod
  def load(cls, path: str | os.PathLike) -> "Vocabulary":
    """Reads a file of `lines`.

    Raises:
      ValueError: if it is not text, naming it.
    """
    with open(path, encoding="utf-8") as file:
      try:
        return cls(file.read().split("\n")[:-1])
      except UnicodeDecodeError as error:
        raise ValueError(f"{path}: want text in UTF-8 ({error})") from None

  def lines(self) -> str:
    """Returns a word a line, in the order of their ids."""
    return "".join(f"{word}\n" for word in self._ids)

  def encode(self, words: Sequence[str]) -> list[int]:
    """Returns the id of each word."""
    unknown = self._ids[SPECIAL[1]]
    return [self._ids.get(word.lower(), unknown) for word in words]


class Vectors(NamedTuple):
  """Pretrained word vectors.

  Attributes:
    words: as the file has them.
    table: float32[len(words), D].
  """

  words: list[str]
  table: np.ndarray


def read_vectors(path: str | os.PathLike) -> Vectors:
  """Reads GloVe's text format: a word and D numbers on each line.

  Raises:
    ValueError: for a line of another form, naming it.
  """
  words, rows = [], []
  with open(path, "rb") as file:
    for number, line in enumerate(file, start=1):
      try:
        word, *values = line.rstrip(b"\r\n").decode().split(" ")
        # Numbers beyond float32 become infinite, which is refused below.
        with np.errstate(over="ignore"):
          row = np.array(values, np.float32)
      except ValueError:
        word, row = "", np.zeros(0, np.float32)
      of_one_width = not rows or row.size == rows[0].size
      if not row.size or not of_one_width or not np.isfinite(row).all():
        wanted = f"{rows[0].size} numbers" if rows else "numbers"
        found = line.rstrip()[:60].decode(errors="replace")
        raise ValueError(
          f"{path}:{number}: want a word and {wanted}, found {found!r}"
        )
      words.append(word)
      rows.append(row)
  if not rows:
    raise ValueError(f"{path}: want word vectors, found an empty file")
  return Vectors(words, np.stack(rows))


def start_table(
  fresh: np.ndarray, vocabulary: Vocabulary, vectors: Vectors
) -> np.ndarray:
  """Returns a word table with pretrained rows wherever there are any.

  Args:
    fresh: float32[V, D], what the other rows start from.
    vocabulary: of the table.
    vectors: of width D.

  Raises:
    ValueError: for vectors of another width.
  """
  if vectors.table.shape[1] != fresh.shape[1]:
    raise ValueError(
      f"data.word_vectors: want vectors of model.word_dim {fresh.shape[1]}"
      f" numbers, found {vectors.table.shape[1]}"
    )
  table = np.array(fresh)
  table[vocabulary.encode(vectors.words)] = vectors.table
  return table


class WordReader:
  """The word fields of a split's rows."""

  def __init__(
    self, texts: Sequence[RowText], vocabulary: Vocabulary, max_words: int
  ):
    """Encodes every row; words behind the first `max_words` are cut off."""
    longest = min(max(len(text.words) for text in texts), max_words)
    width = min(-(-longest // _MULTIPLE) * _MULTIPLE, max_words)
    self._words = np.zeros((len(texts), width), np.int32)
    self._mask = np.zeros((len(texts), width), bool)
    for row, text in enumerate(texts):
      ids = vocabulary.encode(text.words)[:width]
      self._words[row, : len(ids)] = ids
      self._mask[row, : len(ids)] = True
    starts = [(text.head[0], text.tail[0]) for text in texts]
    self._starts = np.array(starts, np.int32)

  def __call__(
    self, text_rows: np.ndarray, picture_rows: np.ndarray
  ) -> dict[str, Any]:
    """Returns the word fields of `Batch` for int[B] rows."""
    return {
      "words": self._words[text_rows],
      "word_mask": self._mask[text_rows],
      "head_word": self._starts[text_rows, 0],
      "tail_word": self._starts[text_rows, 1],
    }
