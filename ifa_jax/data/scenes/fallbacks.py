"""Substitutes for the missing parts of scenes.

Results name the substitutes as their `visual_source`, since a score without the
real data is another score:

    scenes          everything is in the scenes
    spatial edges   no relations: boxes near each other are connected
    chain graph     no parsed sentence: each word governs the next
    label vectors   no features: the mean word embedding of the class name
    graph features  neither features nor names: an object's rank, its degree,
                    and the degrees around it
    nothing         no object is known: zeros and a mask
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
LADDER = (SCENES, SPATIAL_EDGES, CHAIN_GRAPH)
LADDER += (LABEL_VECTORS, GRAPH_FEATURES, NOTHING)

# MEGA's ten objects, and the buckets of degrees below 64.
_NUM_SLOTS = 10
_NUM_BUCKETS = 6
# Width of the vectors of `_graph_features`: rank, degree, degrees around.
GRAPH_DIM = _NUM_SLOTS + 1 + _NUM_BUCKETS

# Class name -> float32[Dv]; "" is an object without one.
LabelVectors = Callable[[str], np.ndarray]


class Objects(NamedTuple):
  """The input of a model from a scene's first objects. M': at most M.

  Attributes:
    boxes: float32[M', 5]: x0, y0, x1, y1 and area as fractions of the picture's
      width, height and area, as in ViLBERT; zeros if boxes are unknown.
    structure: float64[M', D] of `graph_similarity.node_features`.
    vectors: floating point [M', Dv'], Dv' at most Dv.
    sources: the substitutes used.
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
  """Returns the first objects of a scene, with substitutes for missing parts.

  `num_regions` is M, and edges to later objects are left out. `structure` has
  width 0 unless the graph is needed.
  """
  if scene is None or scene.num_objects == 0:
    nothing = np.zeros((0, 0), np.float32)
    no_boxes = np.zeros((0, 5), np.float32)
    return Objects(no_boxes, nothing, nothing, frozenset([NOTHING]))
  num = min(scene.num_objects, num_regions)
  has_names = any(scene.labels) and label_vectors is not None
  from_graph = scene.features is None and not has_names
  sources = set()
  edges, structure = np.zeros((0, 2), np.int64), np.zeros((num, 0))
  if needs_graph or from_graph:
    if scene.edges is not None:
      edges = np.asarray(scene.edges, np.int64).reshape(-1, 2)
      edges = edges[(edges < num).all(axis=1)]
    elif scene.boxes is not None:
      edges = spatial.edges(scene.boxes[:num], scene.size)
      sources.add(SPATIAL_EDGES)
    structure = graph_similarity.node_features(edges, num)
  if scene.features is not None:
    vectors = scene.features[:num]
  elif label_vectors is not None and has_names:
    vectors = np.stack([label_vectors(name) for name in scene.labels[:num]])
    sources.add(LABEL_VECTORS)
  else:
    vectors = _graph_features(edges, structure)
    sources.add(GRAPH_FEATURES)
  boxes = np.zeros((num, 5), np.float32)
  if scene.boxes is not None:
    boxes[:, :4] = scene.boxes[:num] / np.tile(scene.size, 2)
    width, height = (boxes[:, 2:4] - boxes[:, :2]).T
    boxes[:, 4] = width * height
  return Objects(boxes, structure, vectors, frozenset(sources))


def word_structure(
  heads: Sequence[int] | np.ndarray | None, num_words: int
) -> tuple[np.ndarray, frozenset[str]]:
  """Returns a sentence's `graph_similarity.node_features`, and the substitutes.

  The head of a root is -1; None connects each word with the next.

  Raises:
    ValueError: for another number of heads.
  """
  sources = frozenset([CHAIN_GRAPH] if heads is None else [])
  if heads is None:
    heads = np.arange(-1, num_words - 1)
  heads = np.asarray(heads, np.int64)
  if len(heads) != num_words:
    raise ValueError(
      f"expected the heads of {num_words} words, got {len(heads)}"
    )
  words = np.flatnonzero(heads >= 0)
  edges = np.stack([heads[words], words], axis=1)
  return graph_similarity.node_features(edges, num_words), sources


def declared(scenes: Scenes) -> frozenset[str]:
  """Returns the substitutes that were used to make scenes."""
  made = {
    SPATIAL_EDGES: scenes.manifest["relations"] == "spatial",
    CHAIN_GRAPH: scenes.manifest["parser"] == "chain",
  }
  return frozenset(name for name, is_made in made.items() if is_made)


def _graph_features(edges: np.ndarray, structure: np.ndarray) -> np.ndarray:
  """Returns float32[M', GRAPH_DIM], derived from the edges only.

  One-hot of the object's rank among the first ten, the number of its
  neighbours, and its structure.
  """
  num, width = structure.shape
  neighbours = graph_similarity.adjacency(edges, num)
  features = np.zeros((num, GRAPH_DIM), np.float32)
  features[:, :_NUM_SLOTS] = np.eye(num, _NUM_SLOTS)
  features[:, _NUM_SLOTS] = neighbours.sum(axis=1)
  features[:, _NUM_SLOTS + 1 :][:, :width] = structure
  return features
