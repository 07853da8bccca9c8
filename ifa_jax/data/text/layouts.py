"""How a text with two entities becomes one sequence of WordPieces.

nested    the four markers behind the vocabulary, around the spans as they
          lie; how datasets are prepared (`Tokenizer.encode`)
opennre   [unused0] ... [unused3] of BERT's own vocabulary; words that both
          entities share stand there twice. OpenNRE's `BERTEntityEncoder`,
          which MEGA's code has too
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.data.text.markers import Span
from ifa_jax.data.text.row_text import RowText
from ifa_jax.data.text.tokenizer import Encoded

LAYOUTS = ("nested", "opennre")
OPENNRE_MARKERS = ("[unused0]", "[unused1]", "[unused2]", "[unused3]")


def opennre(
  encoded: Encoded, head: Span, tail: Span, marker_ids: Sequence[int], most: int
) -> Encoded:
  """Lays a text out anew.

  Args:
    encoded: as prepared.
    head: words [begin, end).
    tail: words [begin, end).
    marker_ids: of `OPENNRE_MARKERS`.
    most: tokens that fit; what is longer loses its end, [SEP] included.
  """
  pieces: dict[int, list[int]] = {}
  for token, word in zip(encoded.input_ids, encoded.word_ids, strict=True):
    pieces.setdefault(word, []).append(token)
  ids, words, starts = [encoded.input_ids[0]], [-1], {}
  for place in _places(head, tail, max(pieces) + 1):
    if isinstance(place, _Marker):
      starts[place.number] = min(len(ids), most - 1)
      ids.append(marker_ids[place.number])
      words.append(-1)
    else:
      ids += pieces.get(place, [])
      words += [place] * len(pieces.get(place, []))
  ids.append(encoded.input_ids[-1])
  words.append(-1)
  return Encoded(ids[:most], words[:most], starts[0], starts[2])


class _Marker(NamedTuple):
  number: int


def _places(head: Span, tail: Span, num_words: int) -> list[int | _Marker]:
  """Returns words and markers in order: before, first, between, last, after."""
  spans = (head, tail)
  first, last = (0, 1) if head[0] <= tail[0] else (1, 0)
  (a, b), (c, d) = spans[first], spans[last]
  inside = lambda role, begin, end: [  # noqa: E731
    _Marker(2 * role),
    *range(begin, end),
    _Marker(2 * role + 1),
  ]
  return [
    *range(a),
    *inside(first, a, b),
    *range(b, c),
    *inside(last, c, d),
    *range(d, num_words),
  ]


class TextReader:
  """The token fields of a split's rows, for another layout than prepared."""

  def __init__(self, texts: Sequence[RowText], text_len: int):
    """Pads every row to int32[T]."""
    self._ids = np.zeros((len(texts), text_len), np.int32)
    self._mask = np.zeros((len(texts), text_len), bool)
    for row, text in enumerate(texts):
      length = len(text.encoded.input_ids)
      self._ids[row, :length] = text.encoded.input_ids
      self._mask[row, :length] = True
    starts = [(x.encoded.head_start, x.encoded.tail_start) for x in texts]
    self._starts = np.array(starts, np.int32)

  def __call__(
    self, text_rows: np.ndarray, picture_rows: np.ndarray
  ) -> dict[str, Any]:
    """Returns the token fields of `Batch` for int[B] rows."""
    return {
      "input_ids": self._ids[text_rows],
      "attention_mask": self._mask[text_rows],
      "head_start": self._starts[text_rows, 0],
      "tail_start": self._starts[text_rows, 1],
    }
