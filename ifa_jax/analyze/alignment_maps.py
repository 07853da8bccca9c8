"""A post's attention as words x objects maps: Figure 1 of arXiv:2211.07504.

A cell is the share of a word's attention that goes to one picture or crop: the
softmax over visual and text keys together, mean over heads, mean over the
word's WordPieces, summed over the picture's patches. Nothing is renormalised,
so a row of cells and what goes `ELSEWHERE` add up to 1. [CLS], [SEP] and the
markers are nobody's words; `<s>` and `<o>`, which the relation head reads, are
kept beside the words.

Another model needs `PictureKeys` for its visual keys and attention that has
them first; `align` does the rest.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

# What a text token attends to beside pictures that are there: the visual class
# token; crop slots that are empty, which only `released` leaves in; the text
# itself, special tokens and markers included.
ELSEWHERE = ("class token", "absent", "text")
ENTITIES = ("head", "tail")


@dataclasses.dataclass(frozen=True)
class PictureKeys:
  """The visual keys that are the patches of one picture or crop.

  Attributes:
    field: of a batch: "image", "grounded" or "detected".
    index: among the pictures of its field, from 0.
    start: its first key; the others follow, row by row.
    side: patches along its side.
  """

  field: str
  index: int
  start: int
  side: int

  @property
  def name(self) -> str:
    """The column's title: "image", "grounded 1", ..."""
    return (
      self.field if self.field == "image" else f"{self.field} {self.number}"
    )

  @property
  def number(self) -> int:
    """Place in its field, from 1."""
    return self.index + 1

  @property
  def keys(self) -> slice:
    """Its places among the visual keys."""
    return slice(self.start, self.start + self.side**2)


class Shares(NamedTuple):
  """Where the attention of R rows goes; along the last axes all add up to 1.

  Attributes:
    pictures: float64[1+layers, R, K], the mean over layers in front.
    elsewhere: float64[1+layers, R, 3], see `ELSEWHERE`.
  """

  pictures: np.ndarray
  elsewhere: np.ndarray


class Alignment(NamedTuple):
  """What a post's text takes from its pictures.

  Attributes:
    columns: the pictures that are there, K of them.
    words: a row for each word; NaN for words that no token stands for, because
      the text was cut or a word has no piece.
    markers: two rows, the opening markers of head and tail.
    patches: "head" or "tail" -> for each column float64[1+layers, side, side],
      the mean over the entity's WordPieces.
  """

  columns: list[PictureKeys]
  words: Shares
  markers: Shares
  patches: dict[str, list[np.ndarray]]

  @property
  def layer_names(self) -> list[str]:
    """Names of the first axis: "mean", "0", "1", ..."""
    return ["mean", *map(str, range(len(self.words.pictures) - 1))]


def place_pictures(
  slots: Sequence[tuple[str, int, int]], patch_size: int
) -> list[PictureKeys]:
  """Returns where each slot's patches lie behind the class token.

  Args:
    slots: as `pipeline.Geometry` has them: (field, pictures a row, pixels).
    patch_size: in pixels.
  """
  placed, start = [], 1
  for field, count, size in slots:
    side = size // patch_size
    for index in range(count):
      placed.append(PictureKeys(field, index, start, side))
      start += side**2
  return placed


def align(
  attention: np.ndarray,
  word_ids: Sequence[int],
  num_words: int,
  spans: Mapping[str, tuple[int, int]],
  markers: Sequence[int],
  slots: Sequence[PictureKeys],
  masks: Mapping[str, Sequence[bool]],
) -> Alignment:
  """Turns one post's captured attention into its maps.

  Args:
    attention: float[layers, T, P+T], text queries, visual keys first.
    word_ids: the word of each token, -1 for none; padding may be left out.
    num_words: W.
    spans: "head" and "tail" -> words [begin, end).
    markers: tokens of the head's and of the tail's opening marker.
    slots: every picture that the model has keys for, from `place_pictures`.
    masks: field -> for each of its slots, True = the post has a picture there.

  Raises:
    ValueError: if the keys are not those of the slots and the text, or no token
      stands for an entity.
  """
  attention = np.asarray(attention, np.float64)
  num_visual = 1 + sum(slot.side**2 for slot in slots)
  if attention.shape[2] != num_visual + attention.shape[1]:
    raise ValueError(
      f"attention {attention.shape}: want {num_visual} visual keys and"
      f" {attention.shape[1]} text keys"
    )
  attention = np.concatenate([attention.mean(axis=0, keepdims=True), attention])
  word_ids = np.asarray(word_ids)
  there = [slot for slot in slots if masks[slot.field][slot.index]]
  share = lambda rows: _share(rows, there, num_visual)  # noqa: E731
  entities = {
    name: _entity_row(attention, word_ids, span) for name, span in spans.items()
  }
  return Alignment(
    columns=there,
    words=share(_word_rows(attention, word_ids, num_words)),
    markers=share(attention[:, list(markers)]),
    patches={
      name: [_patches(row, column) for column in there]
      for name, row in entities.items()
    },
  )


def _word_rows(
  attention: np.ndarray, word_ids: np.ndarray, num_words: int
) -> np.ndarray:
  """Averages float64[L, T, S] over each word's tokens: float64[L, W, S]."""
  rows = np.full((len(attention), num_words, attention.shape[2]), np.nan)
  for word in np.unique(word_ids[word_ids >= 0]):
    tokens = np.flatnonzero(word_ids == word)
    rows[:, word] = attention[:, tokens].mean(axis=1)
  return rows


def _entity_row(
  attention: np.ndarray, word_ids: np.ndarray, span: tuple[int, int]
) -> np.ndarray:
  """Averages float64[L, T, S] over all tokens of a span: float64[L, S]."""
  begin, end = span
  tokens = np.flatnonzero((begin <= word_ids) & (word_ids < end))
  if not tokens.size:
    raise ValueError(f"words {begin} to {end}: want a token, found none")
  return attention[:, tokens].mean(axis=1)


def _share(
  rows: np.ndarray, there: Sequence[PictureKeys], num_visual: int
) -> Shares:
  """Sums float64[L, R, S] by picture, and by what is none."""
  columns = [rows[..., column.keys].sum(axis=-1) for column in there]
  empty = np.zeros((*rows.shape[:2], 0))
  pictures = np.stack(columns, axis=-1) if columns else empty
  token = rows[..., 0]
  visual = rows[..., :num_visual].sum(axis=-1)
  absent = visual - token - pictures.sum(axis=-1)
  # Sums in another order may leave a rest of 1e-17 below 0.
  elsewhere = [
    token,
    np.maximum(absent, 0),
    rows[..., num_visual:].sum(axis=-1),
  ]
  return Shares(pictures, np.stack(elsewhere, axis=-1))


def _patches(row: np.ndarray, column: PictureKeys) -> np.ndarray:
  """Cuts a picture's patches out of float64[L, S]: float64[L, side, side]."""
  return row[:, column.keys].reshape(-1, column.side, column.side)
