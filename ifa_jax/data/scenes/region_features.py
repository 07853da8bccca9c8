"""The fields of a batch about objects: regions, boxes and alignment.

`fallbacks` provides substitutes for missing parts of scenes.
"""

import collections
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.data.scenes import fallbacks, graph_similarity
from ifa_jax.data.scenes.fallbacks import LabelVectors, Objects
from ifa_jax.data.scenes.store import Scene, Scenes
from ifa_jax.models.base import System

_log = logging.getLogger("ifa_jax")

# Vectors of these sources may be narrower than the model's, and are padded.
_PADDED = {fallbacks.GRAPH_FEATURES, fallbacks.NOTHING}


class RegionGeometry(NamedTuple):
  """Shapes of the region fields, and the kind of alignment.

  Attributes:
    num_regions: M, objects of a picture, the best first; the rest is masked.
    feature_dim: Dv, see `feature_dim`.
    text_len: T, of the alignment.
    top_k: objects that a word keeps; 0 keeps all.
    distance: of `graph_similarity.similarity`, "l2" or "sql2".
    align: whether there is an alignment at all.
  """

  num_regions: int
  feature_dim: int
  text_len: int
  top_k: int = 1
  distance: str = "l2"
  align: bool = False

  @classmethod
  def of(cls, model: System, text_len: int) -> "RegionGeometry":
    """Returns the shapes for a model that reads regions.

    Raises:
      ValueError: if the model's feature width is not set.
    """
    aligned, dim = model.reads_alignment, model.regions.feature_dim
    if dim is None:
      raise ValueError("model.regions.feature_dim: expected a width, got None")
    return cls(
      num_regions=model.regions.num_regions,
      feature_dim=dim,
      text_len=text_len,
      top_k=model.top_k if aligned else 0,
      distance=model.distance if aligned else "l2",
      align=aligned,
    )


def feature_dim(scenes: Scenes | None, label_dim: int | None = None) -> int:
  """Returns the width of the vectors that a run on these scenes reads.

  `label_dim` is the width of the vectors of class names, if there are any.
  """
  if scenes is not None and scenes.feature_dim:
    return scenes.feature_dim
  if scenes is not None and scenes.has_labels and label_dim:
    return label_dim
  return fallbacks.GRAPH_DIM


class RegionReader:
  """Reads the region fields of a split's rows.

  Attributes:
    counts: name of `fallbacks.LADDER` -> rows that use it with their own
      pictures. A row may use several.
  """

  def __init__(
    self,
    scenes: Scenes | None,
    texts: Sequence[Any],
    geometry: RegionGeometry,
    label_vectors: LabelVectors | None = None,
  ):
    """Reads every row once; vectors remain views of the scenes' arrays.

    Uses `id`, `img_id`, `words` and `encoded.word_ids` of the texts, and label
    vectors for scenes without features.

    Raises:
      ValueError: if vectors or heads do not fit; names the image or row. If
        there are scenes, but none of a row's picture.
    """
    pictures = scenes.pictures if scenes else ()
    if pictures and pictures.isdisjoint(text.img_id for text in texts):
      raise ValueError(
        f"data.scenes: expected pictures of the dataset's rows, got"
        f" {len(pictures)} of which none belongs to a row, first"
        f" {next(iter(pictures))!r}"
      )
    self._geometry = geometry
    self._texts = texts
    # Rows of one picture share its objects.
    self._objects: dict[str, Objects] = {}
    self._structures: list[np.ndarray] = []
    counted = collections.Counter()
    for text in texts:
      name = text.img_id
      if name not in self._objects:
        scene = scenes.scene(name) if scenes else None
        self._objects[name] = _read_objects(
          scene, geometry, f"image {name!r}", label_vectors
        )
      sources = self._objects[name].sources
      if geometry.align:
        guessed = self._read_words(scenes, text)
        # Without objects there is nothing to align words with.
        sources |= guessed if len(self._objects[name].vectors) else frozenset()
      counted.update(sources or {fallbacks.SCENES})
    ladder = fallbacks.LADDER
    self.counts = {name: counted[name] for name in ladder if counted[name]}
    _log.info("regions of %d rows: %s", len(texts), self.counts)

  @property
  def visual_source(self) -> str:
    """The sources of the regions, names of `fallbacks.LADDER`."""
    return ", ".join(self.counts)

  def num_objects(self, row: int) -> int:
    """Returns the number of objects in a row's own picture, at most M."""
    return len(self._objects[self._texts[row].img_id].vectors)

  def __call__(
    self, text_rows: np.ndarray, picture_rows: np.ndarray
  ) -> dict[str, np.ndarray]:
    """Aligns the words of int[B] rows with the pictures of int[B] rows.

    Returns:
      regions: float32[B, M, Dv].
      region_boxes: float32[B, M, 5], see `fallbacks.Objects`.
      region_mask: bool[B, M], True = an object; other entries are zero.
      alignment: float32[B, T, M], only with `align`.
    """
    rows = []
    for text_row, picture_row in zip(text_rows, picture_rows, strict=True):
      objects = self._objects[self._texts[picture_row].img_id]
      words, word_ids = None, ()
      if self._geometry.align:
        words = self._structures[text_row]
        word_ids = self._texts[text_row].encoded.word_ids
      rows.append(_fields(objects, words, word_ids, self._geometry))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

  def _read_words(self, scenes: Scenes | None, text: Any) -> frozenset[str]:
    """Adds a row's structure; returns the substitutes in both graphs."""
    heads = scenes.heads(text.id) if scenes else None
    try:
      structure, sources = fallbacks.word_structure(heads, len(text.words))
    except ValueError as error:
      raise ValueError(f"row {text.id!r}: {error}") from None
    self._structures.append(structure)
    return sources | (fallbacks.declared(scenes) if scenes else frozenset())


def one_row(
  scene: Scene | None,
  heads: Sequence[int] | None,
  num_words: int,
  word_ids: Sequence[int],
  geometry: RegionGeometry,
) -> dict[str, np.ndarray]:
  """Returns the region fields of one post, as `RegionReader`, without axis B.

  Heads are as in `Scenes.heads`, word ids as in `tokenizer.Encoded`.

  Raises:
    ValueError: if the vectors, the heads or the tokens do not fit.
  """
  objects = _read_objects(scene, geometry, "scene")
  words = None
  if geometry.align:
    words, _ = fallbacks.word_structure(heads, num_words)
  return _fields(objects, words, word_ids, geometry)


def _read_objects(
  scene: Scene | None,
  geometry: RegionGeometry,
  where: str,
  label_vectors: LabelVectors | None = None,
) -> Objects:
  """Returns the objects of a scene, whose vectors must fit the geometry."""
  objects = fallbacks.read_objects(
    scene, geometry.num_regions, geometry.align, label_vectors
  )
  found, wanted = objects.vectors.shape[1], geometry.feature_dim
  if found > wanted or (found < wanted and not objects.sources & _PADDED):
    raise ValueError(
      f"{where}: expected vectors of feature_dim={wanted}, got {found}"
    )
  return objects


def _fields(
  objects: Objects,
  words: np.ndarray | None,
  word_ids: Sequence[int],
  geometry: RegionGeometry,
) -> dict[str, np.ndarray]:
  """Returns the fields of one row; `words` is None without an alignment."""
  num, width = objects.vectors.shape
  num_regions = geometry.num_regions
  fields = {
    "regions": np.zeros((num_regions, geometry.feature_dim), np.float32),
    "region_boxes": np.zeros((num_regions, 5), np.float32),
    "region_mask": np.arange(num_regions) < num,
  }
  fields["regions"][:num, :width] = objects.vectors
  fields["region_boxes"][:num] = objects.boxes
  if words is not None:
    weights = graph_similarity.similarity(
      words, objects.structure, geometry.distance
    )
    weights = graph_similarity.keep_best(weights, geometry.top_k)
    alignment = np.zeros((geometry.text_len, num_regions), np.float32)
    alignment[:, :num] = graph_similarity.on_tokens(
      weights, word_ids, geometry.text_len
    )
    fields["alignment"] = alignment
  return fields
