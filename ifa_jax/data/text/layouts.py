"""Layouts of a text with two entities as one sequence of WordPieces.

nested    four markers added to the vocabulary, around the spans as they are;
          datasets are prepared in this layout (`Tokenizer.encode`)
opennre   [unused0] ... [unused3] of BERT's own vocabulary; words that both
          entities share appear twice. OpenNRE's `BERTEntityEncoder`, also used
          in MEGA's code
"""

import collections
from collections.abc import Iterable, Sequence

from ifa_jax.data.text.encoded import Encoded
from ifa_jax.data.text.markers import Span
from ifa_jax.data.text.row_text import Reader, RowText, id_reader

LAYOUTS = ("nested", "opennre")
OPENNRE_MARKERS = ("[unused0]", "[unused1]", "[unused2]", "[unused3]")


def opennre(
  encoded: Encoded, head: Span, tail: Span, marker_ids: Sequence[int], most: int
) -> Encoded:
  """Converts a text from "nested" to "opennre".

  `marker_ids` are those of `OPENNRE_MARKERS`. A text of more than `most` tokens
  loses its end, including [SEP].
  """
  pieces = collections.defaultdict(list)
  for token, word in zip(encoded.input_ids, encoded.word_ids, strict=True):
    pieces[word].append(token)
  ids, words, starts = [encoded.input_ids[0]], [-1], {}

  def add_words(places: Iterable[int]) -> None:
    for word in places:
      ids.extend(pieces[word])
      words.extend([word] * len(pieces[word]))

  def add_token(token: int) -> None:
    ids.append(token)
    words.append(-1)

  num_words = max(pieces) + 1
  # Markers 0 and 1 enclose the head, 2 and 3 the tail. The stable sort leaves
  # the head first if both begin at the same word.
  entities = sorted([(head, 0), (tail, 2)], key=lambda entity: entity[0][0])
  after = 0
  for (begin, end), marker in entities:
    add_words(range(after, begin))
    starts[marker] = min(len(ids), most - 1)
    add_token(marker_ids[marker])
    add_words(range(begin, end))
    add_token(marker_ids[marker + 1])
    after = end
  add_words(range(after, num_words))
  add_token(encoded.input_ids[-1])
  return Encoded(ids[:most], words[:most], starts[0], starts[2])


def text_reader(texts: Sequence[RowText], text_len: int) -> Reader:
  """Returns the reader of a split's tokens, padded to `text_len`."""
  encoded = [text.encoded for text in texts]
  return id_reader(
    ("input_ids", "attention_mask", "head_start", "tail_start"),
    [x.input_ids for x in encoded],
    [(x.head_start, x.tail_start) for x in encoded],
    text_len,
  )
