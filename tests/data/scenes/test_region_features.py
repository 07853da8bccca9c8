"""What a batch gets of scenes, and every substitute for what they lack."""

import logging
from typing import NamedTuple

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
from ifa_jax.models import base

GEOMETRY = RegionGeometry(
  num_regions=5, feature_dim=6, text_len=12, top_k=1, align=True
)


class Encoded(NamedTuple):
  word_ids: list[int]


class Text(NamedTuple):
  id: str
  img_id: str
  words: list[str]
  encoded: Encoded


def make_text(line, img_id, num_words):
  """A row whose word 1 has two tokens, behind the marker that is token 1."""
  words = sorted([*range(num_words), 1]) if num_words > 1 else [0]
  return Text(
    f"test/{line}",
    img_id,
    [f"w{i}" for i in range(num_words)],
    Encoded([-1, -1, *words, -1]),
  )


TEXTS = [
  make_text(1, "a.jpg", 6),
  make_text(2, "b.jpg", 1),
  make_text(3, "a.jpg", 8),
  make_text(4, "many.jpg", 4),
]


def random_split(folder, seed=0, **manifest):
  rng = np.random.default_rng(seed)
  pictures = {
    "a.jpg": scene_trees.scene(rng, num_objects=4),
    "b.jpg": scene_trees.scene(rng, num_objects=2, num_edges=1),
    "many.jpg": scene_trees.scene(rng, num_objects=9, num_edges=20),
  }
  sentences = {
    text.id: scene_trees.heads(rng, len(text.words)) for text in TEXTS
  }
  manifest = {"parser": "spacy"} | manifest
  return scene_trees.write(folder, pictures, sentences, **manifest)


def expected_alignment(scene, heads, word_ids, geometry):
  """Element by element, from the weights of the whole pictures' graphs."""
  num = min(scene.num_objects, geometry.num_regions)
  edges = [(a, b) for a, b in scene.edges if a < num and b < num]
  words = [(head, i) for i, head in enumerate(heads) if head >= 0]
  weights = graph_similarity.similarity(
    graph_similarity.node_features(words, len(heads)),
    graph_similarity.node_features(edges, num),
    geometry.distance,
  )
  expected = np.zeros((geometry.text_len, geometry.num_regions))
  for token, word in enumerate(word_ids):
    if word >= 0:
      ranked = sorted(range(num), key=lambda j: (-weights[word, j], j))
      for j in ranked[: geometry.top_k or num]:
        expected[token, j] = weights[word, j] / word_ids.count(word)
  return expected


@pytest.mark.parametrize("top_k", [0, 1, 3])
@pytest.mark.parametrize("distance", base.DISTANCES)
def test_a_batch_of_scenes(top_k, distance, tmp_path):
  split = random_split(tmp_path)
  geometry = GEOMETRY._replace(top_k=top_k, distance=distance)
  reader = RegionReader(split, TEXTS, geometry)
  # The last two rows have each other's pictures.
  text_rows, picture_rows = np.array([1, 0, 2, 3]), np.array([1, 0, 3, 2])
  fields = reader(text_rows, picture_rows)
  shapes = {name: (f.shape, f.dtype.name) for name, f in fields.items()}
  assert shapes == {
    "regions": ((4, 5, 6), "float32"),
    "region_boxes": ((4, 5, 5), "float32"),
    "region_mask": ((4, 5), "bool"),
    "alignment": ((4, 12, 5), "float32"),
  }
  for place in range(4):
    text, picture = TEXTS[text_rows[place]], TEXTS[picture_rows[place]]
    scene = split.scene(picture.img_id)
    num = min(scene.num_objects, 5)
    assert fields["region_mask"][place].tolist() == [
      slot < num for slot in range(5)
    ]
    for slot in range(5):
      region, box = fields["regions"][place, slot], [0] * 5
      if slot < num:
        np.testing.assert_array_equal(region, scene.features[slot])
        x0, y0, x1, y1 = scene.boxes[slot].tolist()
        box = [x0 / 640, y0 / 480, x1 / 640, y1 / 480]
        box.append((x1 - x0) * (y1 - y0) / (640 * 480))
      else:
        assert not region.any()
      np.testing.assert_allclose(
        fields["region_boxes"][place, slot], box, atol=1e-6
      )
    np.testing.assert_allclose(
      fields["alignment"][place],
      expected_alignment(
        scene, split.heads(text.id), text.encoded.word_ids, geometry
      ),
      atol=1e-6,
    )
  assert reader.visual_source == "scenes"
  assert reader.counts == {"scenes": 4}
  assert [reader.num_objects(row) for row in range(4)] == [4, 2, 4, 5]


def test_a_shuffle_moves_pictures_and_keeps_words(tmp_path):
  reader = RegionReader(random_split(tmp_path), TEXTS, GEOMETRY)
  own = reader(np.arange(4), np.arange(4))
  moved = reader(np.arange(4), np.array([3, 2, 1, 0]))
  for name in ("regions", "region_boxes", "region_mask"):
    np.testing.assert_array_equal(moved[name], own[name][::-1])
  # Which tokens have a weight is the text's, which objects the picture's.
  tokens = lambda fields: fields["alignment"].any(axis=2)  # noqa: E731
  np.testing.assert_array_equal(tokens(moved), tokens(own))
  assert not np.array_equal(moved["alignment"], own["alignment"][::-1])
  assert not np.array_equal(moved["alignment"], own["alignment"])


def test_without_align_sentences_are_not_looked_at(tmp_path):
  geometry = GEOMETRY._replace(align=False)
  texts = [TEXTS[0]._replace(words=["one"], encoded=None)]
  reader = RegionReader(random_split(tmp_path), texts, geometry)
  fields = reader(np.array([0]), np.array([0]))
  assert list(fields) == ["regions", "region_boxes", "region_mask"]
  assert reader.visual_source == "scenes"


@pytest.mark.parametrize("row", range(4))
def test_one_post_gets_what_its_row_gets(row, tmp_path):
  split, text = random_split(tmp_path), TEXTS[row]
  fields = RegionReader(split, TEXTS, GEOMETRY)(np.array([row]), [row])
  alone = region_features.one_row(
    split.scene(text.img_id),
    split.heads(text.id),
    len(text.words),
    text.encoded.word_ids,
    GEOMETRY,
  )
  assert alone.keys() == fields.keys()
  for name, field in alone.items():
    np.testing.assert_array_equal(field, fields[name][0])


def read_one(scene, heads=(1, -1, 1), geometry=GEOMETRY):
  return region_features.one_row(scene, heads, 3, [-1, 0, 1, 2, -1], geometry)


def read_named(folder, scene, label_vectors):
  """Returns the fields of a row whose objects have names."""
  split = scene_trees.write(folder, {"a.jpg": scene}, {"test/1": [1, -1, 1]})
  texts = [make_text(1, "a.jpg", 3)]
  reader = RegionReader(split, texts, GEOMETRY, label_vectors)
  return {k: v[0] for k, v in reader(np.array([0]), np.array([0])).items()}


def sources_of(folder, pictures, sentences=None, geometry=GEOMETRY, **options):
  """Returns the counts of a reader of one row for each picture."""
  sentences = {"test/1": [1, -1, 1]} if sentences is None else sentences
  split = scene_trees.write(folder, pictures, sentences, parser="spacy")
  texts = [make_text(1, name, 3) for name in pictures]
  return RegionReader(split, texts, geometry, **options).counts


def test_boxes_are_connected_where_nobody_found_relations(tmp_path):
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


def test_names_give_vectors_where_there_are_no_features(tmp_path):
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


def test_edges_alone_tell_place_degree_and_surroundings(tmp_path):
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
  reader = RegionReader(split, [make_text(1, "a.jpg", 3)], GEOMETRY)
  assert reader.visual_source == "nothing"
  assert reader.num_objects(0) == 0


@pytest.mark.silent_input
def test_scenes_of_other_pictures_are_refused(tmp_path):
  scene = scene_trees.scene(np.random.default_rng(4))
  split = scene_trees.write(tmp_path, {"img/a.jpg": scene})
  message = r"data\.scenes: expected pictures .* 1 of which none .* 'img/a.jpg'"
  with pytest.raises(ValueError, match=message):
    RegionReader(split, TEXTS, GEOMETRY)


def test_without_scenes_there_is_nothing():
  reader = RegionReader(None, TEXTS, GEOMETRY)
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
  texts = [*TEXTS, make_text(5, "lost.jpg", 3)]
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


def test_substitutes_in_the_scenes_themselves_are_no_secret(tmp_path):
  split = random_split(tmp_path, relations="spatial", parser="chain")
  reader = RegionReader(split, TEXTS, GEOMETRY)
  assert reader.visual_source == "spatial edges, chain graph"
  blind = RegionReader(split, TEXTS, GEOMETRY._replace(align=False))
  assert blind.visual_source == "scenes"


def test_width_of_what_a_run_reads(tmp_path):
  rng = np.random.default_rng(6)
  width = lambda **scene: region_features.feature_dim(  # noqa: E731
    scene_trees.write(tmp_path, {"a.jpg": scene_trees.scene(rng, **scene)}),
    label_dim=32,
  )
  assert width() == 6
  assert width(features=None) == 32
  assert width(features=None, labels=[]) == fallbacks.GRAPH_DIM
  assert region_features.feature_dim(None, label_dim=32) == fallbacks.GRAPH_DIM


def test_what_does_not_fit_is_named(tmp_path):
  split = random_split(tmp_path)
  wide = GEOMETRY._replace(feature_dim=7)
  with pytest.raises(ValueError, match=r"'a.jpg': expected .*=7, got 6"):
    RegionReader(split, TEXTS, wide)
  longer = [TEXTS[0], TEXTS[1]._replace(words=["two", "words"])]
  with pytest.raises(
    ValueError, match=r"'test/2': expected the heads of 2 words, got 1"
  ):
    RegionReader(split, longer, GEOMETRY)
  graph = Scene((0, 0), None, np.zeros(2))
  with pytest.raises(ValueError, match=r"scene: expected .*=6, got 17"):
    read_one(graph)
  named = scene_trees.scene(np.random.default_rng(7), features=None)
  with pytest.raises(ValueError, match=r"feature_dim=6, got 5"):
    read_named(tmp_path, named, lambda name: np.ones(5))
  with pytest.raises(ValueError, match=r"text_len=4 tokens, got 5"):
    read_one(graph, geometry=GEOMETRY._replace(text_len=4, feature_dim=17))
