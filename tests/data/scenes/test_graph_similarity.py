"""Structural alignment: by hand, against xNetMF as published, on real graphs.

MNRE1_DIR names the folder of MNRE-1's texts and graphs.
"""

import math
import os

import numpy as np
import pytest

from ifa_jax.data.mnre import tree
from ifa_jax.data.scenes import graph_similarity, store
from ifa_jax.models import base
from ifa_jax.preparation.mnre1_graphs import command

MNRE1_DIR = os.environ.get("MNRE1_DIR")

# "CBS Names Amy Reisenbach Head of Current Programs": (governor, dependent).
WORD_EDGES = [(1, 0), (4, 2), (4, 3), (1, 4), (7, 5), (7, 6), (4, 7)]
# Five objects, then five empty slots.
OBJECT_EDGES = [(1, 4), (0, 4), (1, 2), (1, 3), (0, 2), (4, 1)]
# Weights of four words with the objects 0 to 4, and with an empty slot.
GOLDEN = {
  0: [0.292, 0.292, 0.292, 0.979, 0.292],
  1: [0.802, 0.810, 0.802, 0.293, 0.802],
  4: [0.292, 0.292, 0.292, 0.293, 0.292],
  7: [0.784, 0.802, 0.784, 0.293, 0.784],
}


def hops_by_search(edges, num_nodes):
  """Returns node -> {node: hops} by breadth-first search."""
  near = {node: set() for node in range(num_nodes)}
  for a, b in edges:
    if a != b:
      near[a].add(b)
      near[b].add(a)
  found = []
  for start in range(num_nodes):
    hops, queue = {start: 0}, [start]
    for node in queue:
      for other in near[node] - hops.keys():
        hops[other] = hops[node] + 1
        queue.append(other)
    found.append(hops)
  return near, found


def features_by_loops(edges, num_nodes):
  near, hops = hops_by_search(edges, num_nodes)
  highest = max((len(n) for n in near.values()), default=0)
  width = math.floor(math.log2(highest)) + 1 if highest else 0
  features = np.zeros((num_nodes, width))
  for node in range(num_nodes):
    for other, distance in hops[node].items():
      if distance <= 2 and near[other]:
        bucket = math.floor(math.log2(len(near[other])))
        features[node, bucket] += 0.01**distance
  return features


def xnetmf(features, distance, rng):
  """Returns all weights by landmarks, pseudo-inverse and SVD, as REGAL does."""
  num_nodes = len(features)
  num_landmarks = min(math.floor(10 * math.log2(num_nodes)), num_nodes)
  landmarks = rng.permutation(num_nodes)[:num_landmarks]
  power = {"l2": 1, "sql2": 2}[distance]
  to_landmarks = np.zeros((num_nodes, num_landmarks))
  for i in range(num_nodes):
    for j, landmark in enumerate(landmarks):
      apart = np.linalg.norm(features[i] - features[landmark])
      to_landmarks[i, j] = math.exp(-(apart**power))
  # Squared distances of 1e-8 leave eigenvalues that are only rounding; with
  # numpy's cut at 1e-15 they, inverted, are 7e-4 of a weight.
  inverse = np.linalg.pinv(to_landmarks[landmarks], rcond=1e-11)
  u, s, _ = np.linalg.svd(inverse)
  vectors = to_landmarks @ u @ np.diag(np.sqrt(s))
  vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
  weights = np.zeros((num_nodes, num_nodes))
  for i in range(num_nodes):
    apart = np.linalg.norm(vectors[i] - vectors, axis=1)
    weights[i] = np.exp(-(apart**power))
  return weights


def closed_form(word_edges, num_words, object_edges, num_objects, distance):
  return graph_similarity.similarity(
    graph_similarity.node_features(word_edges, num_words),
    graph_similarity.node_features(object_edges, num_objects),
    distance,
  )


def released(word_edges, num_words, object_edges, num_objects, distance, rng):
  """The same from the union graph, whose last nodes are the objects."""
  shifted = [(a + num_words, b + num_words) for a, b in object_edges]
  features = features_by_loops([*word_edges, *shifted], num_words + num_objects)
  return xnetmf(features, distance, rng)[:num_words, num_words:]


def random_forest(rng, num_nodes):
  """Every node hangs on an earlier one, or is a root: sentences of a post."""
  parents = [int(rng.integers(-1, i)) if i else -1 for i in range(num_nodes)]
  return [(p, i) for i, p in enumerate(parents) if p >= 0]


def test_golden_features():
  words = graph_similarity.node_features(WORD_EDGES, 8)
  assert words.shape == (8, 3)
  np.testing.assert_allclose(words[0], (1, 0.01, 0.0001), atol=1e-12)
  np.testing.assert_allclose(words[1], (0.0102, 1.0001, 0.01), atol=1e-12)


@pytest.mark.parametrize("word", GOLDEN)
def test_golden_weights(word):
  weights = closed_form(WORD_EDGES, 8, OBJECT_EDGES, 10, "l2")[word]
  np.testing.assert_allclose(weights[:5], GOLDEN[word], atol=5e-4)
  np.testing.assert_allclose(weights[5:], 0.325, atol=5e-4)


def test_golden_weights_of_the_paper_s_distance():
  weights = closed_form(WORD_EDGES, 8, OBJECT_EDGES, 10, "sql2")
  expected = [0.176, 0.177, 0.176, 1.000, 0.176, *[0.282] * 5]
  np.testing.assert_allclose(weights[0], expected, atol=5e-4)


def test_golden_empty_slots_would_win():
  weights = closed_form(WORD_EDGES, 8, OBJECT_EDGES, 10, "l2")
  assert weights[4].argmax() == 5
  kept = graph_similarity.keep_best(weights[:, :5], 1)
  assert (kept > 0).sum(axis=1).tolist() == [1] * 8
  assert kept[[0, 1, 4, 7]].argmax(axis=1).tolist() == [3, 1, 3, 1]


@pytest.mark.parametrize("seed", range(4))
def test_features_match_a_search(seed):
  rng = np.random.default_rng(seed)
  for num_nodes in (1, 2, 7, 40):
    edges = rng.integers(0, num_nodes, (int(rng.integers(0, 60)), 2))
    found = graph_similarity.node_features(edges, num_nodes)
    expected = features_by_loops(edges.tolist(), num_nodes)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_direction_repetition_and_self_loops_do_not_matter():
  plain = graph_similarity.node_features(np.array([(0, 1), (1, 2)]), 4)
  same = [(1, 0), (0, 1), (2, 1), (2, 2), (3, 3)]
  np.testing.assert_array_equal(graph_similarity.node_features(same, 4), plain)
  assert not plain[3].any()


@pytest.mark.parametrize("edges", [np.zeros((0, 2), int), [(1, 1)], []])
def test_without_edges_there_is_no_bucket(edges):
  nothing = graph_similarity.node_features(edges, 3)
  assert nothing.shape == (3, 0)
  words = graph_similarity.node_features(WORD_EDGES, 8)
  weights = graph_similarity.similarity(words, nothing)
  assert weights.shape == (8, 3)
  np.testing.assert_allclose(weights[0], 0.325, atol=5e-4)
  # Isolated words and isolated objects are equal.
  np.testing.assert_array_equal(
    graph_similarity.similarity(nothing, nothing), 1
  )


@pytest.mark.parametrize("distance", base.DISTANCES)
@pytest.mark.parametrize("seed", range(6))
def test_the_closed_form_is_xnetmf(distance, seed):
  rng = np.random.default_rng(seed)
  for _ in range(4):
    num_words = int(rng.integers(1, 49))
    num_objects = int(rng.integers(1, 11))
    word_edges = random_forest(rng, num_words)
    object_edges = rng.integers(0, num_objects, (int(rng.integers(16)), 2))
    graphs = word_edges, num_words, object_edges, num_objects
    np.testing.assert_allclose(
      closed_form(*graphs, distance),
      released(*graphs, distance, rng),
      rtol=0,
      atol=5e-8,
    )


def test_equal_weights_go_to_the_first_object():
  weights = np.array([[0.2, 0.9, 0.9], [0.5, 0.5, 0.5]])
  best = graph_similarity.keep_best(weights, 1)
  assert best.tolist() == [[0, 0.9, 0], [0.5, 0, 0]]
  two = graph_similarity.keep_best(weights, 2)
  assert two.tolist() == [[0, 0.9, 0.9], [0.5, 0.5, 0]]


@pytest.mark.parametrize("top_k", [0, 3, 9])
def test_all_objects_may_be_kept(top_k):
  weights = np.array([[0.2, 0.4, 0.1]])
  kept = graph_similarity.keep_best(weights, top_k)
  assert kept.tolist() == [[0.2, 0.4, 0.1]]


def test_words_divide_among_their_tokens():
  weights = np.array([[0.6, 0.3], [0.5, 0.0], [0.8, 0.4]])
  # Word 1 has no token; word 2 is in two overlapping entities.
  word_ids = [-1, 0, 0, 0, -1, 2, -1, 2, -1]
  found = graph_similarity.on_tokens(weights, word_ids, 12)
  assert (found.shape, found.dtype) == ((12, 2), np.float32)
  expected = np.zeros((12, 2))
  for token, word in enumerate(word_ids):
    if word >= 0:
      expected[token] = weights[word] / word_ids.count(word)
  np.testing.assert_allclose(found, expected, atol=1e-7)
  np.testing.assert_allclose(
    found.sum(axis=0), weights[0] + weights[2], atol=1e-6
  )


def test_a_text_without_words_has_no_weight():
  assert not graph_similarity.on_tokens(np.zeros((0, 3)), [-1, -1], 4).any()


def test_bad_input_is_named():
  with pytest.raises(ValueError, match=r"nodes 0 to 2, got 0 to 3"):
    graph_similarity.node_features([(0, 3)], 3)
  with pytest.raises(ValueError, match=r"got -1 to 1"):
    graph_similarity.node_features([(-1, 1)], 3)
  with pytest.raises(ValueError, match=r"'sql2'\), got 'cosine'"):
    graph_similarity.similarity(np.ones((1, 1)), np.ones((1, 1)), "cosine")
  with pytest.raises(ValueError, match=r"text_len=2 tokens, got 3"):
    graph_similarity.on_tokens(np.ones((1, 1)), [-1, 0, -1], 2)
  with pytest.raises(ValueError, match=r"tokens of 2 words, got word 2"):
    graph_similarity.on_tokens(np.ones((2, 1)), [-1, 2, -1], 4)


@pytest.fixture(scope="module")
def real_split(tmp_path_factory):
  """The scenes of MNRE-1's val."""
  folder = tmp_path_factory.mktemp("mnre1") / "scenes"
  command.convert(MNRE1_DIR, folder)
  return store.read_split(folder, "val")


@pytest.mark.skipif(
  not MNRE1_DIR, reason="set MNRE1_DIR to MNRE-1's texts and graphs"
)
@pytest.mark.parametrize("distance", base.DISTANCES)
def test_the_closed_form_on_real_graphs(distance, real_split):
  rng = np.random.default_rng(0)
  compared = 0
  for row in [*tree.read_rows(MNRE1_DIR, "val", None)][::24]:
    scene = real_split.scene(row.img_id)
    if scene.num_objects:
      heads = real_split.heads(row.id).tolist()
      words = [(head, i) for i, head in enumerate(heads) if head >= 0]
      graphs = words, len(heads), scene.edges.tolist(), scene.num_objects
      np.testing.assert_allclose(
        closed_form(*graphs, distance),
        released(*graphs, distance, rng),
        rtol=0,
        atol=5e-8,
      )
      compared += 1
  assert compared > 20
