"""Maps of a model that reads the objects of a picture as vectors."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ifa_jax.analyze.alignment import maps
from ifa_jax.analyze.alignment.maps import (
  Alignment,
  Column,
  Pool,
  Shares,
  Wording,
)
from ifa_jax.data.scenes.store import Scene
from ifa_jax.data.text.row_text import RowText


class RegionMaps(NamedTuple):
  """What the maps of `ModelOutput.region_weights` are.

  Attributes:
    titles: name of each map -> its title.
    together: name and title of what all maps are together, shown first; None
      where they are nothing together.
    reduce: makes it of float64[maps, T, M] along axis 0; `np.mean` or `np.sum`.
    pool: how tokens become a word, see `alignment_maps.by_word`.
    wording: of the numbers. With a column in `elsewhere`, that has what is left
      of 1 in each row.
  """

  titles: dict[str, str]
  together: tuple[str, str] | None
  reduce: Callable[..., np.ndarray]
  pool: Pool
  wording: Wording

  @property
  def shown(self) -> dict[str, str]:
    """Names and titles of all maps, what they are together in front."""
    return dict([self.together] if self.together else []) | self.titles


def name_objects(scene: Scene | None, num: int) -> list[Column]:
  """Returns the first objects of a picture as columns, with their labels."""
  labels = scene.labels if scene and len(scene.labels) else [""] * num
  return [Column("object", i, label=labels[i]) for i in range(num)]


def align(
  weights: np.ndarray,
  text: RowText,
  objects: Sequence[Column],
  kind: RegionMaps,
) -> Alignment:
  """Turns one post's captured weights into its maps.

  Args:
    weights: float[maps, T, M], objects that are there in front.
    text: whose tokens they are.
    objects: those that are there, at most M.
    kind: what the maps are.

  Raises:
    ValueError: for other maps than the kind's, more objects than M, or if no
      token stands for an entity.
  """
  wanted = len(kind.titles), len(objects)
  if len(weights) != wanted[0] or weights.shape[2] < wanted[1]:
    raise ValueError(
      f"weights {weights.shape}: want {wanted[0]} maps of at least {wanted[1]}"
      " objects"
    )
  weights = np.asarray(weights[..., : len(objects)], np.float64)
  if kind.together:
    whole = kind.reduce(weights, axis=0, keepdims=True)
    weights = np.concatenate([whole, weights])
  rows = maps.by_word(weights, text, kind.pool)
  return Alignment(
    columns=[*objects],
    maps=kind.shown,
    words=_share(rows.words, kind),
    markers=_share(rows.markers, kind),
    patches={
      name: [row[:, i].reshape(-1, 1, 1) for i in range(len(objects))]
      for name, row in rows.entities.items()
    },
    wording=kind.wording,
  )


def _share(rows: np.ndarray, kind: RegionMaps) -> Shares:
  """Puts what is left of 1 beside float64[maps, R, M], where it is a share."""
  # Softmax rounds in float32 and may leave a rest below 0.
  rest = np.maximum(1 - rows.sum(axis=-1, keepdims=True), 0)
  return Shares(rows, rest[..., : len(kind.wording.elsewhere)])
