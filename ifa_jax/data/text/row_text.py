"""The text of a row, and readers that add fields to a batch.

Apart from `pipeline` because TensorFlow takes seconds to load, and predicting
on your own posts does not need it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.data.text.encoded import Caption, Encoded

# Returns fields of a batch for int[B] text rows and int[B] picture rows. They
# are added to those of the records, or replace them.
Reader = Callable[[np.ndarray, np.ndarray], dict[str, Any]]


class RowText(NamedTuple):
  """A row without its pixels.

  Attributes:
    id: "test/12", split and line of the raw file, counted from 1.
    img_id: file name of the picture.
    words: the text.
    head: words [begin, end).
    tail: words [begin, end).
    num_squares: field -> number of pictures or crops, "image" 0 or 1.
    encoded: its WordPieces.
    caption: of its picture.
  """

  id: str
  img_id: str
  words: list[str]
  head: tuple[int, int]
  tail: tuple[int, int]
  num_squares: dict[str, int]
  encoded: Encoded
  caption: Caption = Caption()


def id_reader(
  names: tuple[str, str, str, str],
  rows: Sequence[Sequence[int]],
  starts: Sequence[tuple[int, int]],
  width: int,
) -> Reader:
  """Returns the reader of a split's ids.

  Args:
    names: fields of `Batch`: the ids, their mask, and the indices of the head
      and the tail among them.
    rows: ids of each row, at most `width`.
    starts: the two indices of each row.
    width: number of ids after padding with zeros.
  """
  ids = np.zeros((len(rows), width), np.int32)
  mask = np.zeros((len(rows), width), bool)
  for row, given in enumerate(rows):
    ids[row, : len(given)] = given
    mask[row, : len(given)] = True
  fields = (ids, mask, *np.array(starts, np.int32).T)

  def read(text_rows, picture_rows):
    del picture_rows
    return {k: x[text_rows] for k, x in zip(names, fields, strict=True)}

  return read
