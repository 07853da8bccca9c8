"""What stands in for the parts of a scene that its source does not tell.

A ladder of substitutes. Each has a name, which results carry as their
`visual_source`, since a score without the real thing is another score:

    scenes          all that was asked for is in the scenes
    spatial edges   no relations: boxes that lie together are connected
    chain graph     no parsed sentence: each word governs the next
    label vectors   no features: the mean word embedding of the class name
    graph features  neither features nor names: an object's place, its degree,
                    and the degrees around it
    nothing         no object is known: zeros, and a mask that says so
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ifa_jax.data.scenes import graph_similarity, spatial
from ifa_jax.data.scenes.store import Scene, Scenes

SCENES = "scenes"
SPATIAL_EDGES = "spatial edges"
CHAIN_GRAPH = "chain graph"
LABEL_VECTORS = "label vectors"
GRAPH_FEATURES = "graph features"
NOTHING = "nothing"
LADDER = (
  SCENES,
  SPATIAL_EDGES,
  CHAIN_GRAPH,
  LABEL_VECTORS,
  GRAPH_FEATURES,
  NOTHING,
)

# MEGA's ten objects, and the buckets of degrees below 64.
_NUM_SLOTS = 10
_NUM_BUCKETS = 6
# Width of the vectors of `graph_features`: place, degree, degrees around.
GRAPH_DIM = _NUM_SLOTS + 1 + _NUM_BUCKETS

LabelVectors = Callable[[str], np.ndarray]


class Objects(NamedTuple):
  """The first objects of a scene, as a model reads them. M': at most M.

  Attributes:
    boxes: float32[M', 5], see `relative_boxes`.
    structure: float64[M', D] of `graph_similarity.node_features`.
    vectors: floating point [M', Dv'], Dv' at most Dv.
    sources: which substitutes were used.
  """

  boxes: np.ndarray
  structure: np.ndarray
  vectors: np.ndarray
  sources: frozenset[str]


def read_objects(
  scene: Scene | None,
  num_regions: int,
  needs_graph: bool,
  label_vectors: LabelVectors | None = None,
) -> Objects:
  """Returns the first objects of a scene, with substitutes where it has none.

  Args:
    scene: of a picture, or None.
    num_regions: M; relations with later objects are left out.
    needs_graph: whether the objects' edges matter beside their vectors.
    label_vectors: class name -> float32[Dv]; None has none.
  """
  if scene is None or scene.num_objects == 0:
    nothing = np.zeros((0, 0), np.float32)
    no_boxes = np.zeros((0, 5), np.float32)
    return Objects(no_boxes, nothing, nothing, frozenset([NOTHING]))
  num = min(scene.num_objects, num_regions)
  source = _vector_source(scene, label_vectors)
  sources = {source} - {SCENES}
  structure = np.zeros((num, 0))
  if needs_graph or source == GRAPH_FEATURES:
    edges, guessed = _edges(scene, num)
    structure = graph_similarity.node_features(edges, num)
    sources |= {SPATIAL_EDGES} if guessed else set()
  if source == SCENES:
    vectors = scene.features[:num]
  elif source == LABEL_VECTORS:
    names = scene.labels[:num]
    vectors = np.stack([label_vectors(name) for name in names])  # pyright: ignore[reportOptionalCall]
  else:
    vectors = graph_features(edges, structure)  # pyright: ignore[reportPossiblyUnboundVariable]
  return Objects(
    relative_boxes(scene, num), structure, vectors, frozenset(sources)
  )


def word_structure(
  heads: Sequence[int] | np.ndarray | None, num_words: int
) -> tuple[np.ndarray, frozenset[str]]:
  """Returns a sentence's `graph_similarity.node_features`, and the substitutes.

  Args:
    heads: of each word, -1 for a root; None connects each word with the next.
    num_words: of the sentence.

  Raises:
    ValueError: for another number of heads.
  """
  if heads is None:
    chain = np.arange(-1, num_words - 1)
    return word_structure(chain, num_words)[0], frozenset([CHAIN_GRAPH])
  heads = np.asarray(heads, np.int64)
  if len(heads) != num_words:
    raise ValueError(
      f"wanted the heads of {num_words} words, found {len(heads)}"
    )
  words = np.flatnonzero(heads >= 0)
  edges = np.stack([heads[words], words], axis=1)
  return graph_similarity.node_features(edges, num_words), frozenset()


def declared(scenes: Scenes) -> frozenset[str]:
  """Returns the substitutes that whoever made the scenes put into them."""
  made = {
    SPATIAL_EDGES: scenes.manifest["relations"] == "spatial",
    CHAIN_GRAPH: scenes.manifest["parser"] == "chain",
  }
  return frozenset(name for name, is_made in made.items() if is_made)


def relative_boxes(scene: Scene, num: int) -> np.ndarray:
  """Returns the boxes of the first objects as parts of the picture.

  ViLBERT's locations: the corners (x0, y0, x1, y1), each by the picture's
  width or height, and the box's share of its area.

  Args:
    scene: of a picture.
    num: M'.

  Returns:
    float32[M', 5], all zero if the scene has no boxes.
  """
  relative = np.zeros((num, 5), np.float32)
  if scene.boxes is not None:
    relative[:, :4] = scene.boxes[:num] / np.tile(scene.size, 2)
    width, height = (relative[:, 2:4] - relative[:, :2]).T
    relative[:, 4] = width * height
  return relative


def graph_features(edges: np.ndarray, structure: np.ndarray) -> np.ndarray:
  """Returns what the edges alone tell of each object.

  Args:
    edges: int[E, 2] between the objects.
    structure: float64[M', D] of `graph_similarity.node_features`.

  Returns:
    float32[M', GRAPH_DIM]: one-hot of the object's place among the first ten,
    the number of its neighbours, and its structure.
  """
  num, width = structure.shape
  neighbours = np.zeros((num, num), bool)
  neighbours[edges[:, 0], edges[:, 1]] = True
  neighbours = (neighbours | neighbours.T) & ~np.eye(num, dtype=bool)
  features = np.zeros((num, GRAPH_DIM), np.float32)
  features[:, :_NUM_SLOTS] = np.eye(num, _NUM_SLOTS)
  features[:, _NUM_SLOTS] = neighbours.sum(axis=1)
  features[:, _NUM_SLOTS + 1 :][:, :width] = structure
  return features


def _vector_source(scene: Scene, label_vectors: LabelVectors | None) -> str:
  """Returns the first rung that tells of each object what it is."""
  if scene.features is not None:
    return SCENES
  if len(scene.labels) and label_vectors is not None:
    return LABEL_VECTORS
  return GRAPH_FEATURES


def _edges(scene: Scene, num: int) -> tuple[np.ndarray, bool]:
  """Returns int[E, 2] between the first objects, and whether it is a guess."""
  if scene.edges is None and scene.boxes is not None:
    return spatial.edges(scene.boxes[:num], scene.size), True
  edges = np.asarray([] if scene.edges is None else scene.edges, np.int64)
  edges = edges.reshape(-1, 2)
  return edges[(edges < num).all(axis=1)], False
