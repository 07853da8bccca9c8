"""What a batch gets of its pictures' objects: regions, boxes and alignment.

Where a scene does not tell something, `fallbacks` says what stands in.
"""

import collections
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.data.scenes import fallbacks, graph_similarity
from ifa_jax.data.scenes.fallbacks import LabelVectors, Objects
from ifa_jax.data.scenes.store import Scene, Scenes
from ifa_jax.models.base import System

_log = logging.getLogger("ifa_jax")


class RegionGeometry(NamedTuple):
  """Shapes of the region fields, and how words and objects are aligned.

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
    """Returns the shapes for a model that reads regions, and its texts.

    Raises:
      ValueError: if the model has not got the width of the data's features.
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
  """Returns the width of the vectors that a run on these scenes gets.

  Args:
    scenes: or None, which leaves zeros alone.
    label_dim: width of the vectors for class names, if there are any.
  """
  if scenes is not None and scenes.feature_dim:
    return scenes.feature_dim
  if scenes is not None and scenes.has_labels and label_dim:
    return label_dim
  return fallbacks.GRAPH_DIM


class RegionReader:
  """Reads the region fields of a split's rows.

  Attributes:
    counts: name of `fallbacks.LADDER` -> rows that it serves with their
      own pictures. A row may need several.
  """

  def __init__(
    self,
    scenes: Scenes | None,
    texts: Sequence[Any],
    geometry: RegionGeometry,
    label_vectors: LabelVectors | None = None,
  ):
    """Reads every row once; its pictures' vectors stay where they are.

    Args:
      scenes: of the split, or None.
      texts: of each row the `id`, `img_id`, `words` and `encoded.word_ids`.
      geometry: shapes of the fields.
      label_vectors: class name -> float32[Dv], for scenes without features.

    Raises:
      ValueError: if vectors or heads do not fit; names the image or row. If
        there are scenes, and none of a row's picture.
    """
    if scenes is not None:
      _check_pictures(scenes, texts)
    self._geometry = geometry
    self._texts = texts
    self._objects: dict[str, Objects] = {}
    self._structures: list[np.ndarray] = []
    counted = collections.Counter()
    for text in texts:
      objects = self._read_picture(scenes, text.img_id, label_vectors)
      sources = objects.sources
      if geometry.align:
        guessed = self._read_words(scenes, text)
        # Without an object there is nothing to align words with.
        sources |= guessed if len(objects.vectors) else frozenset()
      counted.update(sources or {fallbacks.SCENES})
    ladder = fallbacks.LADDER
    self.counts = {name: counted[name] for name in ladder if counted[name]}
    _log.info("regions of %d rows: %s", len(texts), self.counts)

  @property
  def visual_source(self) -> str:
    """Where the regions come from: names of `fallbacks.LADDER`."""
    return ", ".join(self.counts)

  def num_objects(self, row: int) -> int:
    """Returns how many objects a row's own picture has, M at most."""
    return len(self._objects[self._texts[row].img_id].vectors)

  def __call__(
    self, text_rows: np.ndarray, picture_rows: np.ndarray
  ) -> dict[str, np.ndarray]:
    """Returns the region fields of a batch.

    Args:
      text_rows: int[B], the rows whose words are aligned.
      picture_rows: int[B], the rows whose pictures they are aligned with.

    Returns:
      regions: float32[B, M, Dv].
      region_boxes: float32[B, M, 5] of `fallbacks.relative_boxes`.
      region_mask: bool[B, M], True = an object; all else is zero elsewhere.
      alignment: float32[B, T, M], with `align` alone.
    """
    fields = _empty(self._geometry, len(text_rows))
    pairs = zip(text_rows, picture_rows, strict=True)
    for place, (text_row, picture_row) in enumerate(pairs):
      row = {name: field[place] for name, field in fields.items()}
      text, picture = self._texts[text_row], self._texts[picture_row]
      objects = self._objects[picture.img_id]
      words = self._structures[text_row] if self._geometry.align else None
      word_ids = text.encoded.word_ids if self._geometry.align else ()
      _fill(row, objects, words, word_ids, self._geometry)
    return fields

  def _read_picture(
    self,
    scenes: Scenes | None,
    img_id: str,
    label_vectors: LabelVectors | None,
  ) -> Objects:
    """Returns a picture's objects, which are kept for all of its rows."""
    if img_id not in self._objects:
      scene = scenes.scene(img_id) if scenes else None
      self._objects[img_id] = _read_objects(
        scene, self._geometry, label_vectors, f"image {img_id!r}"
      )
    return self._objects[img_id]

  def _read_words(self, scenes: Scenes | None, text: Any) -> frozenset[str]:
    """Keeps a row's structure; returns the substitutes in both graphs."""
    heads = scenes.heads(text.id) if scenes else None
    try:
      structure, sources = fallbacks.word_structure(heads, len(text.words))
    except ValueError as error:
      raise ValueError(f"row {text.id!r}: {error}") from None
    self._structures.append(structure)
    return sources | (fallbacks.declared(scenes) if scenes else set())


def one_row(
  scene: Scene | None,
  heads: Sequence[int] | None,
  num_words: int,
  word_ids: Sequence[int],
  geometry: RegionGeometry,
  label_vectors: LabelVectors | None = None,
) -> dict[str, np.ndarray]:
  """Returns the region fields of one post, without the axis B.

  Args:
    scene: of its picture, or None.
    heads: of its words, see `Scenes.heads`, or None.
    num_words: of its text.
    word_ids: the word of each token, -1 for none.
    geometry: shapes of the fields.
    label_vectors: as for `RegionReader`.

  Raises:
    ValueError: if the vectors, the heads or the tokens do not fit.
  """
  objects = _read_objects(scene, geometry, label_vectors, "scene")
  words = None
  if geometry.align:
    words, _ = fallbacks.word_structure(heads, num_words)
  fields = _empty(geometry, 1)
  row = {name: field[0] for name, field in fields.items()}
  _fill(row, objects, words, word_ids, geometry)
  return row


def _empty(geometry: RegionGeometry, num_rows: int) -> dict[str, np.ndarray]:
  """Returns the fields of rows whose pictures have no object."""
  num_regions = geometry.num_regions
  shapes = {
    "regions": (num_regions, geometry.feature_dim),
    "region_boxes": (num_regions, 5),
    "region_mask": (num_regions,),
  }
  if geometry.align:
    shapes["alignment"] = (geometry.text_len, num_regions)
  return {
    name: np.zeros(
      (num_rows, *shape), bool if name == "region_mask" else np.float32
    )
    for name, shape in shapes.items()
  }


def _fill(
  row: Mapping[str, np.ndarray],
  objects: Objects,
  words: np.ndarray | None,
  word_ids: Sequence[int],
  geometry: RegionGeometry,
) -> None:
  """Writes a picture's objects into the fields of one row, which are zero."""
  num, width = objects.vectors.shape
  row["regions"][:num, :width] = objects.vectors
  row["region_boxes"][:num] = objects.boxes
  row["region_mask"][:num] = True
  if words is not None:
    weights = graph_similarity.similarity(
      words, objects.structure, geometry.distance
    )
    weights = graph_similarity.keep_best(
      weights, np.ones(num, bool), geometry.top_k
    )
    row["alignment"][:, :num] = graph_similarity.on_tokens(
      weights, word_ids, geometry.text_len
    )


def _read_objects(
  scene: Scene | None,
  geometry: RegionGeometry,
  label_vectors: LabelVectors | None,
  where: str,
) -> Objects:
  """Returns the objects of a scene, whose vectors must fit the geometry.

  Vectors of features and names have to be as wide as the model expects; what a
  graph tells may be narrower, and is followed by zeros.
  """
  objects = fallbacks.read_objects(
    scene, geometry.num_regions, geometry.align, label_vectors
  )
  found, wanted = objects.vectors.shape[1], geometry.feature_dim
  padded = objects.sources & {
    fallbacks.GRAPH_FEATURES,
    fallbacks.NOTHING,
  }
  if found > wanted or (found < wanted and not padded):
    raise ValueError(
      f"{where}: wanted vectors of feature_dim={wanted}, found {found}"
    )
  return objects


def _check_pictures(scenes: Scenes, texts: Sequence[Any]) -> None:
  """Raises ValueError for scenes of other pictures than the rows have."""
  pictures = scenes.pictures
  if pictures and pictures.isdisjoint(text.img_id for text in texts):
    raise ValueError(
      f"data.scenes: expected pictures of the dataset's rows, got"
      f" {len(pictures)} of which none belongs to a row, first"
      f" {next(iter(pictures))!r}"
    )
