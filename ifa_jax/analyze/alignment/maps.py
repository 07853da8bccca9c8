"""Maps from the words of a post to its pictures: Figure 1 of arXiv:2211.07504.

A model gives weights between text tokens and keys: patches, objects, or text.
`align` pools tokens to words and keys to columns; `readers` has the keys of
each system. [CLS], [SEP] and the markers belong to no word; the opening markers
of both entities have rows of their own.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ifa_jax.data.text.row_text import RowText

ENTITIES = ("head", "tail")


@dataclasses.dataclass(frozen=True)
class Column:
  """A picture, a crop, an object or a word, and the keys that belong to it.

  Attributes:
    field: "image", "grounded", "detected", "object" or "caption".
    index: position among those of its field, from 0.
    start: the first of its keys; the others follow, row by row.
    side: patches along its side; an object is one patch.
    label: class name of an object, if known, or word of a caption.
    num_pieces: keys of a word, which are summed to one patch; None for all
      other columns.
  """

  field: str
  index: int
  start: int
  side: int = 1
  label: str = ""
  num_pieces: int | None = None

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
    """Position among those of its field, from 1."""
    return self.index + 1

  @property
  def keys(self) -> slice:
    """The keys of its patches, or of its WordPieces."""
    return slice(self.start, self.start + (self.num_pieces or self.side**2))

  def patches(self, weights: np.ndarray) -> np.ndarray:
    """Returns float[maps, side, side] of float[maps, S]."""
    own = weights[:, self.keys]
    if self.num_pieces is not None:
      own = own.sum(axis=1)
    return own.reshape(-1, self.side, self.side)


class MapKind(NamedTuple):
  """Describes the maps of a model: how to compute them, and their meaning.

  Attributes:
    titles: name -> title of each map, the first one shown by default.
    combine: reduces all maps along axis 0 to the first of `titles`; None if
      every map is the model's own.
    pool: reduces the tokens of a word along axis 1: `np.mean` for queries,
      `np.sum` for keys, which share the weight of their word.
    cell: meaning of a number, and the sum of rows or columns.
    unit: of the numbers as shown, in percent.
    elsewhere: name -> meaning of each column that is not a picture, in the
      order of `_elsewhere`.
    markers: meaning of the two rows below the words.
    parts: meaning of the numbers drawn on the picture.
    picture: caption of the picture.
    nothing: shown if there is no column.
    num_visual: visual keys, of which text keys follow if `elsewhere` has
      "text"; None if the keys are objects.
    inputs: the inputs next to the text, in a word.
  """

  titles: dict[str, str]
  combine: Callable[..., np.ndarray] | None
  pool: Callable[..., np.ndarray]
  cell: str
  unit: str
  elsewhere: dict[str, str]
  markers: str
  parts: str
  picture: str
  nothing: str
  num_visual: int | None = None
  inputs: str = "pictures"


class Shares(NamedTuple):
  """The weights of some rows, NaN for a word without a token.

  Attributes:
    pictures: float64[maps, rows, K], one column each.
    elsewhere: float64[maps, rows, E], see `MapKind.elsewhere`.
  """

  pictures: np.ndarray
  elsewhere: np.ndarray


class Alignment(NamedTuple):
  """All maps of one post; axis 0 of arrays follows `MapKind.titles`.

  Attributes:
    columns: pictures, crops, objects or caption words of the post.
    words: a row per word.
    markers: two rows, the opening markers of head and tail.
    patches: "head" or "tail" -> float64[maps, side, side] of each column,
      pooled over all WordPieces of the entity.
  """

  kind: MapKind
  columns: Sequence[Column]
  words: Shares
  markers: Shares
  patches: dict[str, list[np.ndarray]]


def align(
  weights: np.ndarray, text: RowText, columns: Sequence[Column], kind: MapKind
) -> Alignment:
  """Turns the captured weights of one post into its maps.

  Args:
    weights: float[maps, T, S], tokens by keys.
    text: assigns tokens to words; padding may be left out.
    columns: those that the post has.

  Raises:
    ValueError: if the weights do not have the kind's maps or the columns' keys,
      or an entity has no token.
  """
  weights = np.asarray(weights, np.float64)
  _check(weights, columns, kind)
  if kind.combine:
    combined = kind.combine(weights, axis=0, keepdims=True)
    weights = np.concatenate([combined, weights])
  encoded, word_ids = text.encoded, np.asarray(text.encoded.word_ids)
  words = np.full((len(weights), len(text.words), weights.shape[2]), np.nan)
  for word in np.unique(word_ids[word_ids >= 0]):
    tokens = np.flatnonzero(word_ids == word)
    words[:, word] = kind.pool(weights[:, tokens], axis=1)
  markers = weights[:, [encoded.head_start, encoded.tail_start]]
  patches = {}
  for entity in ENTITIES:
    begin, end = getattr(text, entity)
    tokens = np.flatnonzero((begin <= word_ids) & (word_ids < end))
    if not tokens.size:
      raise ValueError(f"words {begin} to {end}: expected a token, got none")
    pooled = kind.pool(weights[:, tokens], axis=1)
    patches[entity] = [column.patches(pooled) for column in columns]
  words, markers = (_share(rows, columns, kind) for rows in (words, markers))
  return Alignment(kind, [*columns], words, markers, patches)


def _check(
  weights: np.ndarray, columns: Sequence[Column], kind: MapKind
) -> None:
  num_maps = len(kind.titles) - (kind.combine is not None)
  last = max((column.keys.stop for column in columns), default=0)
  expected = f"at least {last} keys"
  fits = weights.shape[2] >= last
  if kind.num_visual is not None:
    # A look has no keys of text.
    num_text = weights.shape[1] if "text" in kind.elsewhere else 0
    expected = f"{kind.num_visual} visual and {num_text} text keys"
    fits = weights.shape[2] == kind.num_visual + num_text
  if len(weights) != num_maps or not fits:
    raise ValueError(
      f"captured weights: expected {num_maps} maps of {expected}, got shape"
      f" {weights.shape}"
    )


def _share(
  rows: np.ndarray, columns: Sequence[Column], kind: MapKind
) -> Shares:
  """Sums the keys of float64[maps, R, S] by column."""
  pictures = np.empty((*rows.shape[:2], len(columns)))
  for i, column in enumerate(columns):
    pictures[..., i] = rows[..., column.keys].sum(axis=-1)
  return Shares(pictures, _elsewhere(rows, pictures, kind))


def _elsewhere(
  rows: np.ndarray, pictures: np.ndarray, kind: MapKind
) -> np.ndarray:
  """Returns the weight of the keys that belong to no column."""
  # Differences of rounded sums may be slightly below 0, hence the maximum.
  if kind.num_visual is None:
    rest = np.maximum(1 - pictures.sum(axis=-1, keepdims=True), 0)
    return rest[..., : len(kind.elsewhere)]
  visual, text = np.split(rows, [kind.num_visual], axis=-1)
  class_token = visual[..., 0]
  absent = visual.sum(axis=-1) - class_token - pictures.sum(axis=-1)
  parts = [class_token, np.maximum(absent, 0), text.sum(axis=-1)]
  return np.stack(parts[: len(kind.elsewhere)], axis=-1)
