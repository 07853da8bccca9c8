"""Captions as fields of a batch: a second segment of the text, or a field.

Rows with exchanged pictures get the captions of those pictures.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ifa_jax.data.text.row_text import Reader, RowText


def segment_reader(
  texts: Sequence[RowText], text_len: int, caption_len: int
) -> Reader:
  """Returns the reader of texts that continue with their caption.

      [CLS] Ann joins Acme [SEP] two players [SEP]
      0     0   0     0    0     1   1       1      token_type_ids

  Args:
    texts: of a split.
    text_len: tokens that a text may have.
    caption_len: tokens that a caption has at most, its [CLS] included.
  """
  width = segment_len(text_len, caption_len)

  def read(text_rows, picture_rows):
    shown = [texts[row] for row in text_rows]
    captions = [texts[row].caption.input_ids for row in picture_rows]
    joined = [
      [*text.encoded.input_ids, *caption[1:]]
      for text, caption in zip(shown, captions, strict=True)
    ]
    ids, mask = _pad(joined, width)
    lengths = np.array([[len(text.encoded.input_ids)] for text in shown])
    second = mask & (np.arange(width) >= lengths)
    starts = [(x.encoded.head_start, x.encoded.tail_start) for x in shown]
    head, tail = np.array(starts, np.int32).T
    return {
      "input_ids": ids,
      "attention_mask": mask,
      "token_type_ids": second.astype(np.int32),
      "head_start": head,
      "tail_start": tail,
    }

  return read


def segment_len(text_len: int, caption_len: int) -> int:
  """Returns the tokens that a text and its caption may have together."""
  return text_len + caption_len - 1


def stream_reader(texts: Sequence[RowText], caption_len: int) -> Reader:
  """Returns the reader of `Batch.caption_ids` and `Batch.caption_mask`."""

  def read(text_rows, picture_rows) -> dict[str, Any]:
    del text_rows
    captions = [texts[row].caption.input_ids for row in picture_rows]
    ids, mask = _pad(captions, caption_len)
    return {"caption_ids": ids, "caption_mask": mask}

  return read


def _pad(
  rows: Sequence[Sequence[int]], width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns ids and mask, [rows, width]."""
  ids, mask = (
    np.zeros((len(rows), width), np.int32),
    np.zeros((len(rows), width), bool),
  )
  for row, given in enumerate(rows):
    ids[row, : len(given)], mask[row, : len(given)] = given, True
  return ids, mask
