"""Texts with other names, and a split with other texts."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from ifa_jax.analyze.names.types import Words, spelling
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.data.text.markers import Span
from ifa_jax.data.text.row_text import RowText
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.runtime.tensorflow import tf

_UNCUT = 1 << 20


def overlaps(text: RowText) -> bool:
  """Returns whether the entities share words: no replacement can be given."""
  return max(text.head[0], text.tail[0]) < min(text.head[1], text.tail[1])


def replace(text: RowText, head: Words, tail: Words) -> RowText:
  """Replaces both entities of a row, and other mentions of their names.

  The result's `encoded` is still that of the old text, see `encode`.
  """
  edits = {text.head: head, text.tail: tail}
  for span, new in (*edits.items(),):
    edits |= dict.fromkeys(_mentions(text.words, span, [*edits]), new)
  words, places, end = [], {}, 0
  for span in sorted(edits):
    words += text.words[end : span[0]]
    places[span] = (len(words), len(words) + len(edits[span]))
    words += edits[span]
    end = span[1]
  words += text.words[end:]
  return text._replace(
    words=words, head=places[text.head], tail=places[text.tail]
  )


def _mentions(
  words: Sequence[str], span: Span, taken: list[Span]
) -> Iterator[Span]:
  """Yields other places of a span's words that overlap no place taken."""
  name, length = spelling((*words[slice(*span)],)), span[1] - span[0]
  for begin in range(len(words) - length + 1):
    end = begin + length
    if spelling((*words[begin:end],)) == name and all(
      end <= first or last <= begin for first, last in taken
    ):
      taken.append((begin, end))
      yield begin, end


def encode(text: RowText, tokenizer: Tokenizer, text_len: int) -> RowText:
  """Returns a row with the WordPieces of its words."""
  found = tokenizer.encode(text.words, text.head, text.tail, text_len)
  return text._replace(encoded=found)


def is_cut(text: RowText, tokenizer: Tokenizer) -> bool:
  """Returns whether words of an encoded row did not fit."""
  whole = encode(text, tokenizer, _UNCUT).encoded
  return len(text.encoded.input_ids) < len(whole.input_ids)


class RewrittenSplit(Split):
  """Rows of a split with other texts; label, pictures and captions remain."""

  def __init__(
    self, split: Split, rows: Sequence[int], texts: Sequence[RowText]
  ):
    """Makes a split of n rows.

    Args:
      split: with the records.
      rows: n numbers of its rows, repeated or left out at will.
      texts: of these rows, encoded.
    """
    self.name = split.name
    self._split, self._rows, self._texts = split, rows, texts

  def __len__(self) -> int:
    """Returns the number of rows."""
    return len(self._rows)

  def __getitem__(self, row: int) -> bytes:
    """Returns a row's record with its new text."""
    record = tf.train.Example.FromString(self._split[self._rows[row]])
    fields, text = record.features.feature, self._texts[row]
    fields["words"].bytes_list.value[:] = [x.encode() for x in text.words]
    for name, values in (
      ("head_span", text.head),
      ("tail_span", text.tail),
      ("input_ids", text.encoded.input_ids),
      ("word_ids", text.encoded.word_ids),
      ("head_start", [text.encoded.head_start]),
      ("tail_start", [text.encoded.tail_start]),
    ):
      fields[name].int64_list.value[:] = values
    return record.SerializeToString()

  @functools.cached_property
  def text_lengths(self) -> np.ndarray:
    """Tokens of each row's text, int32[n]."""
    return np.array([len(x.encoded.input_ids) for x in self._texts], np.int32)
