"""A row of a dataset as it is read: its text, and what adds fields to a batch.

Apart from `pipeline`, since TensorFlow takes seconds to load and posts of one's
own need none of it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ifa_jax.data.text.tokenizer import Encoded

# Fields of a batch for int[B] text rows and int[B] picture rows, beside or in
# place of those that a record gives by itself.
Reader = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]


class RowText(NamedTuple):
  """What a row says, without its pixels.

  Attributes:
    id: "test/12", split and line of the raw file, counted from 1.
    head: words [begin, end).
    tail: words [begin, end).
    num_squares: field -> how many pictures or crops of it the row has, "image"
      0 or 1.
    encoded: its WordPieces, as prepared.
  """

  id: str
  img_id: str
  words: list[str]
  head: tuple[int, int]
  tail: tuple[int, int]
  num_squares: dict[str, int]
  encoded: Encoded
