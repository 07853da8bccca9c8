"""Substitutes for the missing parts of scenes."""

import logging

import numpy as np
import pytest
import scene_trees

from ifa_jax.data.scenes import (
  fallbacks,
  graph_similarity,
  region_features,
  spatial,
)
from ifa_jax.data.scenes.region_features import RegionGeometry, RegionReader
from ifa_jax.data.scenes.store import Scene

GEOMETRY = RegionGeometry(
  num_regions=5, feature_dim=6, text_len=12, top_k=1, align=True
)


def read_one(scene, heads=(1, -1, 1), geometry=GEOMETRY):
  return region_features.one_row(scene, heads, 3, [-1, 0, 1, 2, -1], geometry)


def read_named(folder, scene, label_vectors):
  """Returns the fields of a row whose objects have names."""
  split = scene_trees.write(folder, {"a.jpg": scene}, {"test/1": [1, -1, 1]})
  texts = [scene_trees.row(1, "a.jpg", 3)]
  reader = RegionReader(split, texts, GEOMETRY, label_vectors)
  return {k: v[0] for k, v in reader(np.array([0]), np.array([0])).items()}


def sources_of(folder, pictures, sentences=None, geometry=GEOMETRY, **options):
  """Returns the counts of a reader of one row for each picture."""
  sentences = {"test/1": [1, -1, 1]} if sentences is None else sentences
  split = scene_trees.write(folder, pictures, sentences, parser="spacy")
  texts = [scene_trees.row(1, name, 3) for name in pictures]
  return RegionReader(split, texts, geometry, **options).counts


def test_boxes_are_connected_if_relations_are_unknown(tmp_path):
  scene = scene_trees.scene(
    np.random.default_rng(1), edges=None, edge_labels=[], edge_scores=[]
  )
  found = spatial.edges(scene.boxes, scene.size)
  assert len(found)
  told = read_one(scene._replace(edges=found))
  guessed = read_one(scene)
  np.testing.assert_array_equal(guessed["alignment"], told["alignment"])
  unlinked = read_one(scene._replace(edges=np.zeros((0, 2), int)))
  assert not np.array_equal(unlinked["alignment"], told["alignment"])
  counts = sources_of(tmp_path, {"a.jpg": scene})
  assert counts == {"spatial edges": 1}
  # Only an alignment needs edges.
  blind = GEOMETRY._replace(align=False)
  assert sources_of(tmp_path, {"a.jpg": scene}, geometry=blind) == {"scenes": 1}


def test_a_sentence_without_heads_is_a_chain(tmp_path):
  scene = scene_trees.scene(np.random.default_rng(2))
  chained = read_one(scene, [-1, 0, 1])
  np.testing.assert_array_equal(
    read_one(scene, None)["alignment"], chained["alignment"]
  )
  roots = read_one(scene, [-1, -1, -1])
  assert not np.array_equal(roots["alignment"], chained["alignment"])
  assert sources_of(tmp_path, {"a.jpg": scene}, {}) == {"chain graph": 1}


def test_names_give_vectors_if_there_are_no_features(tmp_path):
  vectors = {
    name: np.full(6, i + 1, np.float32)
    for i, name in enumerate(scene_trees.NAMES)
  }
  scene = scene_trees.scene(np.random.default_rng(3), features=None)
  fields = read_named(tmp_path, scene, vectors.__getitem__)
  for slot, label in enumerate(scene.labels):
    np.testing.assert_array_equal(fields["regions"][slot], vectors[label])
  assert not fields["regions"][4:].any()
  assert sources_of(
    tmp_path, {"a.jpg": scene}, label_vectors=vectors.__getitem__
  ) == {"label vectors": 1}
  wide = GEOMETRY._replace(feature_dim=20)
  assert sources_of(tmp_path, {"a.jpg": scene}, geometry=wide) == {
    "graph features": 1
  }


@pytest.mark.silent_input
@pytest.mark.parametrize(
  "labels", [["dog", "", "", "cup"], ["", "", "", ""]], ids=["some", "none"]
)
def test_an_object_without_a_name_has_the_vector_of_none(labels, tmp_path):
  rng = np.random.default_rng(3)
  scene = scene_trees.scene(rng, features=None, labels=labels)
  options = {"geometry": GEOMETRY._replace(feature_dim=17)}
  options["label_vectors"] = lambda name: np.full(17, float(len(name)))
  read = fallbacks.read_objects(scene, 5, True, options["label_vectors"])
  if any(labels):
    assert read.vectors[:, 0].tolist() == [3, 0, 0, 3]
  counts = sources_of(tmp_path, {"a.jpg": scene}, **options)
  assert counts == {"label vectors" if any(labels) else "graph features": 1}


def test_edges_give_rank_degree_and_surroundings(tmp_path):
  edges = np.array([(1, 4), (0, 4), (1, 2), (1, 3), (0, 2), (4, 1)])
  scene = Scene((0, 0), None, np.zeros(5), edges=edges)
  geometry = GEOMETRY._replace(num_regions=7, feature_dim=20)
  fields = read_one(scene, geometry=geometry)
  structure = graph_similarity.node_features(edges, 5)
  for slot, degree in enumerate([2, 3, 2, 1, 2]):
    region = fields["regions"][slot]
    assert region[:10].tolist() == [float(slot == i) for i in range(10)]
    assert region[10] == degree
    np.testing.assert_allclose(region[11:13], structure[slot], atol=1e-7)
    assert not region[13:].any()
  assert not fields["regions"][5:].any()
  assert fields["region_mask"].tolist() == [True] * 5 + [False] * 2
  assert not fields["region_boxes"].any()
  assert sources_of(tmp_path, {"a.jpg": scene}, geometry=geometry) == {
    "graph features": 1
  }


def test_graph_features_hold_any_graph_of_36_objects():
  everything = np.stack(np.triu_indices(36, k=1), axis=1)
  scene = Scene((0, 0), None, np.zeros(36), edges=everything)
  geometry = RegionGeometry(36, fallbacks.GRAPH_DIM, text_len=5)
  found = region_features.one_row(scene, None, 0, [], geometry)["regions"]
  assert (found[:, 10] == 35).all()
  assert (found[:, 11:].argmax(axis=1) == 5).all()


@pytest.mark.parametrize("scene", [None, "empty"])
def test_nothing_is_zeros_and_a_mask(scene, tmp_path):
  if scene:
    scene = scene_trees.scene(np.random.default_rng(4), num_objects=0)
  fields = read_one(scene)
  assert not any(field.any() for field in fields.values())
  assert fields["regions"].shape == (5, 6)
  pictures = {"a.jpg": scene} if scene else {}
  split = scene_trees.write(tmp_path, pictures)
  reader = RegionReader(split, [scene_trees.row(1, "a.jpg", 3)], GEOMETRY)
  assert reader.visual_source == "nothing"
  assert reader.num_objects(0) == 0


def test_without_scenes_there_is_nothing():
  reader = RegionReader(None, scene_trees.ROWS, GEOMETRY)
  fields = reader(np.array([0, 2]), np.array([1, 3]))
  assert not any(field.any() for field in fields.values())
  assert reader.counts == {"nothing": 4}


def test_every_substitute_is_counted_and_logged_once(tmp_path, caplog):
  rng = np.random.default_rng(5)
  pictures = {
    "a.jpg": scene_trees.scene(rng),
    "b.jpg": scene_trees.scene(rng, features=None),
    "many.jpg": scene_trees.scene(
      rng, edges=None, edge_labels=[], edge_scores=[]
    ),
  }
  texts = [*scene_trees.ROWS, scene_trees.row(5, "lost.jpg", 3)]
  split = scene_trees.write(
    tmp_path, pictures, {"test/1": scene_trees.heads(rng, 6)}, parser="spacy"
  )
  with caplog.at_level(logging.INFO, "ifa_jax"):
    reader = RegionReader(
      split, texts, GEOMETRY, label_vectors=lambda name: np.ones(6)
    )
    reader(np.arange(5), np.arange(5))
  assert reader.counts == {
    "scenes": 1,
    "spatial edges": 1,
    "chain graph": 3,
    "label vectors": 1,
    "nothing": 1,
  }
  assert reader.visual_source == (
    "scenes, spatial edges, chain graph, label vectors, nothing"
  )
  assert [r.getMessage() for r in caplog.records] == [
    f"regions of 5 rows: {reader.counts}"
  ]


def test_vectors_and_tokens_that_do_not_fit_are_refused(tmp_path):
  graph = Scene((0, 0), None, np.zeros(2))
  with pytest.raises(ValueError, match=r"scene: expected .*=6, got 17"):
    read_one(graph)
  named = scene_trees.scene(np.random.default_rng(7), features=None)
  with pytest.raises(ValueError, match=r"feature_dim=6, got 5"):
    read_named(tmp_path, named, lambda name: np.ones(5))
  with pytest.raises(ValueError, match=r"text_len=4 tokens, got 5"):
    read_one(graph, geometry=GEOMETRY._replace(text_len=4, feature_dim=17))
