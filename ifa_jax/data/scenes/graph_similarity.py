"""Structural alignment: words and objects with similar places in their graphs.

MEGA (Zheng et al., ACM MM 2021) embeds the nodes of a dependency graph and of
a scene graph by xNetMF (Heimann et al., CIKM 2018) and compares the vectors.
On graphs as small as these its landmarks are all nodes, its vectors have norm
1 and the inner product S, so the weights follow from S without sampling or
factorisation. W words, M objects, T tokens, D degree buckets.
"""

from collections.abc import Sequence

import numpy as np

from ifa_jax.models.base import DISTANCES

# xNetMF in MEGA's released code: neighbours up to two hops away.
_NUM_HOPS = 2
_DISCOUNT = 0.01


def node_features(edges: np.ndarray, num_nodes: int) -> np.ndarray:
  """Counts the degrees around each node of an undirected graph.

  Column d counts the nodes of degree [2^d, 2^(d+1)) that are exactly 0, 1 and
  2 hops away, each hop weighing a hundredth of the one before.

  Args:
    edges: int[E, 2] of nodes; direction, repetition and loops do not matter.
    num_nodes: of the graph, including isolated nodes.

  Returns:
    float64[num_nodes, D], D = floor(log2 of the highest degree) + 1, and 0
    without an edge. Rows of isolated nodes are zero.

  Raises:
    ValueError: for an edge to a node outside the graph.
  """
  linked = adjacency(edges, num_nodes)
  degree = linked.sum(axis=1)
  # frexp gives the exact floor(log2 degree) + 1, and 0 for degree 0.
  bucket = np.frexp(degree)[1]
  one_hot = bucket[:, None] == np.arange(1, bucket.max(initial=0) + 1)
  reached = at_hop = np.eye(num_nodes, dtype=bool)
  features = one_hot.astype(np.float64)
  for hop in range(1, _NUM_HOPS + 1):
    at_hop = (at_hop @ linked) & ~reached
    reached = reached | at_hop
    features += _DISCOUNT**hop * (at_hop.astype(np.float64) @ one_hot)
  return features


def adjacency(edges: np.ndarray, num_nodes: int) -> np.ndarray:
  """Returns the symmetric bool[num_nodes, num_nodes] without loops.

  Raises:
    ValueError: for an edge to a node outside the graph.
  """
  edges = np.asarray(edges, np.int64).reshape(-1, 2)
  if edges.size and (edges.min() < 0 or edges.max() >= num_nodes):
    raise ValueError(
      f"expected edges between the nodes 0 to {num_nodes - 1}, got"
      f" {edges.min()} to {edges.max()}"
    )
  linked = np.zeros((num_nodes, num_nodes), bool)
  linked[edges[:, 0], edges[:, 1]] = linked[edges[:, 1], edges[:, 0]] = True
  np.fill_diagonal(linked, False)
  return linked


def similarity(
  words: np.ndarray, objects: np.ndarray, distance: str = "l2"
) -> np.ndarray:
  """Compares every word with every object.

  With F the features of a node and S = exp(-|F_i - F_j|), the vectors of
  xNetMF are |P_i - P_j|^2 = 2 - 2S apart. "l2" is the released code, "sql2"
  the paper, which squares both distances (MEGA, Eq. 14).

      l2     S = exp(-|F_i - F_j|)      weight = exp(-sqrt(2 - 2S))
      sql2   S = exp(-|F_i - F_j|^2)    weight = exp(-(2 - 2S))

  Args:
    words: float64[W, D] of `node_features`; the narrower of the two is padded.
    objects: float64[M, D'] likewise.
    distance: "l2" or "sql2".

  Returns:
    float64[W, M] in (0, 1], 1 for equal features.

  Raises:
    ValueError: for another distance.
  """
  if distance not in DISTANCES:
    raise ValueError(f"expected a distance of {DISTANCES}, got {distance!r}")
  width = max(words.shape[1], objects.shape[1])
  words, objects = (
    np.pad(features, ((0, 0), (0, width - features.shape[1])))
    for features in (words, objects)
  )
  apart = np.square(words[:, None] - objects[None]).sum(axis=-1)
  if distance == "sql2":
    return np.exp(-(2 - 2 * np.exp(-apart)))
  return np.exp(-np.sqrt(2 - 2 * np.exp(-np.sqrt(apart))))


def keep_best(weights: np.ndarray, top_k: int) -> np.ndarray:
  """Keeps the best objects of each word and sets the others to 0.

  Absent objects must not be among them: an isolated node is more similar to a
  word than an object whose degree is in another bucket. Rows are not
  normalised.

  Args:
    weights: float64[W, M] of `similarity`, for objects that exist.
    top_k: number of objects to keep, ties in the detector's order; 0 keeps all.
  """
  if not top_k:
    return weights
  ranked = np.argsort(-weights, axis=1, kind="stable")
  kept = np.zeros(weights.shape, bool)
  np.put_along_axis(kept, ranked[:, :top_k], True, axis=1)
  return np.where(kept, weights, 0.0)


def on_tokens(
  word_weights: np.ndarray, word_ids: Sequence[int] | np.ndarray, text_len: int
) -> np.ndarray:
  """Spreads each word's weights evenly over its tokens.

  A word thus counts as the mean of its tokens, including those that it has
  twice in two overlapping entities.

  Args:
    word_weights: float64[W, M].
    word_ids: of `tokenizer.Encoded`: the word of each token, -1 for none.
    text_len: T.

  Returns:
    float32[T, M]; rows of tokens without a word and of padding are zero.

  Raises:
    ValueError: for more tokens than `text_len`, or a word outside the text.
  """
  word_ids = np.asarray(word_ids, np.int64)
  num_words, num_objects = word_weights.shape
  if len(word_ids) > text_len:
    raise ValueError(
      f"expected at most text_len={text_len} tokens, got {len(word_ids)}"
    )
  if word_ids.max(initial=-1) >= num_words:
    raise ValueError(
      f"expected tokens of {num_words} words, got word {word_ids.max()}"
    )
  places = np.flatnonzero(word_ids >= 0)
  words = word_ids[places]
  shares = np.bincount(words, minlength=num_words)[words]
  weights = np.zeros((text_len, num_objects), np.float32)
  weights[places] = word_weights[words] / shares[:, None]
  return weights
