"""The region fields of a batch, read from scenes."""

import numpy as np
import pytest
import scene_trees

from ifa_jax.data.scenes import fallbacks, graph_similarity, region_features
from ifa_jax.data.scenes.region_features import RegionGeometry, RegionReader
from ifa_jax.models import base

GEOMETRY = RegionGeometry(
  num_regions=5, feature_dim=6, text_len=12, top_k=1, align=True
)
TEXTS = scene_trees.ROWS


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
    text, picture = (
      TEXTS[text_rows[place]],
      TEXTS[picture_rows[place]],
    )
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


def test_without_align_sentences_are_not_read(tmp_path):
  geometry = GEOMETRY._replace(align=False)
  texts = [TEXTS[0]._replace(words=["one"], encoded=None)]
  reader = RegionReader(random_split(tmp_path), texts, geometry)
  fields = reader(np.array([0]), np.array([0]))
  assert list(fields) == ["regions", "region_boxes", "region_mask"]
  assert reader.visual_source == "scenes"


@pytest.mark.parametrize("row", range(4))
def test_one_post_has_the_fields_of_its_row(row, tmp_path):
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


@pytest.mark.silent_input
def test_scenes_of_other_pictures_are_refused(tmp_path):
  scene = scene_trees.scene(np.random.default_rng(4))
  split = scene_trees.write(tmp_path, {"img/a.jpg": scene})
  message = r"data\.scenes: expected pictures .* 1 of which none .* 'img/a.jpg'"
  with pytest.raises(ValueError, match=message):
    RegionReader(split, TEXTS, GEOMETRY)


def test_substitutes_in_the_scenes_themselves_are_reported(tmp_path):
  split = random_split(tmp_path, relations="spatial", parser="chain")
  reader = RegionReader(split, TEXTS, GEOMETRY)
  assert reader.visual_source == "spatial edges, chain graph"
  blind = RegionReader(split, TEXTS, GEOMETRY._replace(align=False))
  assert blind.visual_source == "scenes"


def test_the_width_of_a_run_s_vectors(tmp_path):
  rng = np.random.default_rng(6)
  width = lambda **scene: region_features.feature_dim(  # noqa: E731
    scene_trees.write(tmp_path, {"a.jpg": scene_trees.scene(rng, **scene)}),
    label_dim=32,
  )
  assert width() == 6
  assert width(features=None) == 32
  assert width(features=None, labels=[]) == fallbacks.GRAPH_DIM
  assert region_features.feature_dim(None, label_dim=32) == fallbacks.GRAPH_DIM


def test_images_and_rows_that_do_not_fit_are_named(tmp_path):
  split = random_split(tmp_path)
  wide = GEOMETRY._replace(feature_dim=7)
  with pytest.raises(ValueError, match=r"'a.jpg': expected .*=7, got 6"):
    RegionReader(split, TEXTS, wide)
  longer = [
    TEXTS[0],
    TEXTS[1]._replace(words=["two", "words"]),
  ]
  with pytest.raises(
    ValueError, match=r"'test/2': expected the heads of 2 words, got 1"
  ):
    RegionReader(split, longer, GEOMETRY)
