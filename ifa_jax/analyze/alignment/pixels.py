"""Maps of a model that attends to patches of pictures and crops.

A cell is the share of a word's attention that goes to one picture or crop: the
softmax over visual and text keys together, mean over heads, mean over the
word's WordPieces, summed over the picture's patches. Nothing is renormalised,
so a row of cells and what goes elsewhere add up to 1.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from ifa_jax.analyze.alignment import maps as alignment_maps
from ifa_jax.analyze.alignment.maps import Alignment, Column, Shares, Wording
from ifa_jax.data.text.row_text import RowText

WORDING = Wording(
  cell=(
    "share of a word's attention (softmax over visual and text keys, mean over"
    " heads and over the word's WordPieces) that goes to a picture, summed over"
    " its patches; not renormalised, so pictures and elsewhere add up to 1"
  ),
  unit="% of a word's attention",
  # In the order of `_share`.
  elsewhere={
    "class token": "the visual key that belongs to no picture",
    "absent": "empty slots that the model attends to all the same",
    "text": "the post's own text, special tokens and markers included",
  },
  markers=(
    "The last two rows are the opening markers of the two entities, which the"
    " relation is read from."
  ),
  parts=(
    "What the words of the head or tail give to each patch. All patches of a"
    " post have one scale. Crops lie where they were cut from; of a crop that"
    " is no square, only the centre is read."
  ),
  picture="as the model sees it",
  nothing="No picture and no crop: there is nothing to align.",
)


@dataclasses.dataclass(frozen=True)
class PictureKeys(Column):
  """The visual keys that are the patches of one picture or crop.

  Attributes:
    start: its first key; the others follow, row by row.
    side: patches along its side.
  """

  start: int
  side: int

  @property
  def keys(self) -> slice:
    """Its places among the visual keys."""
    return slice(self.start, self.start + self.side**2)


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


def map_titles(num_layers: int) -> dict[str, str]:
  """Returns the names and titles of maps: the mean, then each layer."""
  layers = {str(i): f"layer {i}" for i in range(num_layers)}
  return {"mean": "mean over layers"} | layers


def align(
  attention: np.ndarray,
  text: RowText,
  slots: Sequence[PictureKeys],
  masks: Mapping[str, Sequence[bool]],
) -> Alignment:
  """Turns one post's captured attention into its maps.

  Args:
    attention: float[layers, T, P+T], text queries, visual keys first.
    text: whose tokens they are.
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
  maps = map_titles(len(attention))
  attention = np.concatenate([attention.mean(axis=0, keepdims=True), attention])
  there = [slot for slot in slots if masks[slot.field][slot.index]]
  rows = alignment_maps.by_word(attention, text, np.mean)
  return Alignment(
    columns=there,
    maps=maps,
    words=_share(rows.words, there, num_visual),
    markers=_share(rows.markers, there, num_visual),
    patches={
      name: [_patches(row, column) for column in there]
      for name, row in rows.entities.items()
    },
    wording=WORDING,
  )


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
