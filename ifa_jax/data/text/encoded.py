"""Texts and captions as WordPieces, which `data.text.tokenizer` makes."""

from collections.abc import Sequence
from typing import NamedTuple


class Encoded(NamedTuple):
  """The input ids of a text, without padding. T: its tokens.

  Attributes:
    input_ids: T ids: [CLS] ... <s> head </s> ... <o> tail </o> ... [SEP].
    word_ids: T indices of the words that the tokens belong to; -1 for [CLS],
      [SEP] and markers.
    head_start: index of `<s>`.
    tail_start: index of `<o>`.
  """

  input_ids: list[int]
  word_ids: list[int]
  head_start: int
  tail_start: int


class Caption(NamedTuple):
  """A picture in words, without padding; all are empty without one.

  Attributes:
    words: n words.
    input_ids: U ids, [CLS] ... [SEP]; the end of a long caption is cut off.
    word_ids: U indices of the words that the tokens belong to; -1 for [CLS] and
      [SEP].
  """

  words: Sequence[str] = ()
  input_ids: Sequence[int] = ()
  word_ids: Sequence[int] = ()

  def cut(self, caption_len: int) -> "Caption":
    """Returns the caption with at most `caption_len` ids; [SEP] is the last."""
    if len(self.input_ids) <= caption_len:
      return self
    kept = [*range(caption_len - 1), -1]
    return self._replace(
      input_ids=[self.input_ids[i] for i in kept],
      word_ids=[self.word_ids[i] for i in kept],
    )
