"""Words x objects maps of a post: Figure 1 of arXiv:2211.07504, for any system.

A model gives weights of text tokens and parts of a picture. Here tokens become
words; `alignment_pixels` and `alignment_regions` know what the parts are, and
`alignment_readers` what the weights of each system mean. [CLS], [SEP] and the
markers are nobody's words; the opening markers of both entities are kept beside
the words.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ifa_jax.data.text.row_text import RowText

ENTITIES = ("head", "tail")

# Reduces float64[maps, tokens, S] over axis 1.
Pool = Callable[..., np.ndarray]


@dataclasses.dataclass(frozen=True)
class Column:
  """A picture, a crop or an object that a post's words are aligned with.

  Attributes:
    field: "image", "grounded", "detected" or "object".
    index: among those of its field, from 0.
    label: its class name, if it has one.
  """

  field: str
  index: int
  label: str = dataclasses.field(default="", kw_only=True)

  @property
  def name(self) -> str:
    """The column's title: "image", "grounded 1", "object 1", "1 man", ..."""
    if self.field == "image":
      return self.field
    if self.label:
      return f"{self.number} {self.label}"
    return f"{self.field} {self.number}"

  @property
  def number(self) -> int:
    """Place in its field, from 1."""
    return self.index + 1


class Wording(NamedTuple):
  """What the numbers of a system mean, for readers of figures and pages.

  Attributes:
    cell: what a number is, and what a row or column of them adds up to.
    unit: of a number that is shown, in percent.
    elsewhere: name of a column that is no picture -> what it is.
    markers: what the two rows below the words are.
    parts: what lies over the picture for the head and the tail.
    picture: what the picture is to the model.
    nothing: said of a post that has no column.
  """

  cell: str
  unit: str
  elsewhere: Mapping[str, str]
  markers: str
  parts: str
  picture: str
  nothing: str


class Shares(NamedTuple):
  """What R rows have to do with each picture, and with what is none.

  Attributes:
    pictures: float64[maps, R, K].
    elsewhere: float64[maps, R, E], a column for each of `Wording.elsewhere`.
  """

  pictures: np.ndarray
  elsewhere: np.ndarray


class Alignment(NamedTuple):
  """What a post's text has to do with its pictures.

  Attributes:
    columns: the pictures or objects that are there, K of them.
    maps: name of each map -> its title; the one to show first in front.
    words: a row for each word; NaN for words that no token stands for, because
      the text was cut or a word has no piece.
    markers: two rows, the opening markers of head and tail.
    patches: "head" or "tail" -> for each column float64[maps, side, side], of
      all of the entity's WordPieces; an object is one patch.
    wording: what all of this means.
  """

  columns: Sequence[Column]
  maps: dict[str, str]
  words: Shares
  markers: Shares
  patches: dict[str, list[np.ndarray]]
  wording: Wording


class TextRows(NamedTuple):
  """Weights of a text's tokens as rows of its words.

  Attributes:
    words: float64[maps, W, S], NaN without a token.
    markers: float64[maps, 2, S], the opening markers of head and tail.
    entities: "head" and "tail" -> float64[maps, S].
  """

  words: np.ndarray
  markers: np.ndarray
  entities: dict[str, np.ndarray]


def by_word(weights: np.ndarray, text: RowText, pool: Pool) -> TextRows:
  """Pools the weights of tokens over words and entities.

  Args:
    weights: float64[maps, T, S].
    text: gives the word of each token; padding may be left out.
    pool: `np.mean` where tokens are what asks, `np.sum` where they are asked
      and divide among them what is a word's.

  Raises:
    ValueError: if no token stands for an entity.
  """
  encoded, word_ids = text.encoded, np.asarray(text.encoded.word_ids)
  words = np.full((len(weights), len(text.words), weights.shape[2]), np.nan)
  for word in np.unique(word_ids[word_ids >= 0]):
    tokens = np.flatnonzero(word_ids == word)
    words[:, word] = pool(weights[:, tokens], axis=1)
  entities = {
    name: pool(weights[:, _tokens(word_ids, getattr(text, name))], axis=1)
    for name in ENTITIES
  }
  markers = weights[:, [encoded.head_start, encoded.tail_start]]
  return TextRows(words, markers, entities)


def _tokens(word_ids: np.ndarray, span: tuple[int, int]) -> np.ndarray:
  """Returns the tokens of the words of a span."""
  begin, end = span
  tokens = np.flatnonzero((begin <= word_ids) & (word_ids < end))
  if not tokens.size:
    raise ValueError(f"words {begin} to {end}: want a token, found none")
  return tokens
