"""Scenes of the places and sizes of boxes, made without a picture."""

import json

import numpy as np
import pytest
import raw_tree

from ifa_jax.data.images import boxes
from ifa_jax.data.scenes import fallbacks
from ifa_jax.data.scenes.store import read_split
from ifa_jax.detection import region_encoder, scene_builder
from ifa_jax.inference.scenes import PostScenes
from ifa_jax.preparation.scenes.splits import Settings, produce

GEOMETRY = region_encoder.load("geometry")
FRACTIONS = [
  {"box": [0.25, 0, 0.5, 1], "score": 0.9, "label": "man"},
  {"box": [0, 0, 1, 0.5], "score": 0.8},
  {"box": [0.9, 0.9, 1, 1], "score": 0.1},
]
WANTED = [[0.25, 0, 0.5, 1, 0.25, 1, 0.25], [0, 0, 1, 0.5, 1, 0.5, 0.5]]


@pytest.fixture
def make(tmp_path):
  """Writes the scenes of a boxes file for a tree; returns those of test."""

  def run(content, pictures=(), encoder="geometry"):
    files = {f"train/{name}": raw_tree.jpeg(64, 48) for name in pictures}
    rows = [raw_tree.row(img_id="a.jpg"), raw_tree.row(img_id="b.jpg")]
    tree = raw_tree.write_tree(tmp_path / "tree", rows, files)
    path, out = tmp_path / "boxes.json", str(tmp_path / "out")
    path.write_text(json.dumps(content))
    settings = Settings(tree, out, str(path), encoder=encoder, parser="chain")
    produce(settings)
    return read_split(out, "test")

  return run


def test_a_tree_without_pictures_has_scenes(make):
  found = make({"unit": "fraction", "boxes": {"a.jpg": FRACTIONS}})
  scene = found.scene("a.jpg")
  assert found.scene("b.jpg") is None
  assert (found.feature_dim, scene.size) == (7, (1000, 1000))
  np.testing.assert_allclose(scene.features, WANTED)
  assert scene.boxes.tolist() == [[250, 0, 500, 1000], [0, 0, 1000, 500]]
  assert scene.edges.tolist() == [[0, 1]]
  assert scene.labels == ["man", ""]
  # ViLBERT reads x0, y0, x1, y1 and area.
  read = fallbacks.read_objects(scene, 4, needs_graph=True)
  np.testing.assert_allclose(read.boxes, np.array(WANTED)[:, [0, 1, 2, 3, 6]])
  assert found.manifest["features"] == {
    "kind": "geometry",
    "side": 1000,
    "dim": 7,
  }


@pytest.mark.silent_input
def test_a_small_box_is_kept(make):
  small = {"box": [0, 0, 0.0015, 0.0015], "score": 0.5}
  listed = {"a.jpg": FRACTIONS, "b.jpg": [small]}
  found = make({"unit": "fraction", "boxes": listed})
  np.testing.assert_allclose(found.scene("b.jpg").boxes, [[0, 0, 1.5, 1.5]])


def test_pixels_of_a_picture_give_the_same_scene(make):
  in_pixels = [
    {**box, "box": (np.array(box["box"]) * (64, 48, 64, 48)).tolist()}
    for box in FRACTIONS
  ]
  scene = make({"a.jpg": in_pixels}, ["a.jpg"]).scene("a.jpg")
  np.testing.assert_allclose(scene.features, WANTED)
  assert scene.edges.tolist() == [[0, 1]]


def test_other_encoders_cut_fractions_from_the_picture(make):
  listed = {"a.jpg": FRACTIONS, "b.jpg": FRACTIONS}
  content = {"unit": "fraction", "boxes": listed}
  found = make(content, ["a.jpg"], "pixels")
  scene = found.scene("a.jpg")
  assert (scene.size, scene.features.shape) == ((64, 48), (2, 192))
  assert scene.boxes.tolist() == [[16, 0, 32, 48], [0, 0, 64, 24]]
  assert found.scene("b.jpg") is None


def test_posts_get_the_features_of_the_training_scenes(make):
  found = make({"unit": "fraction", "boxes": {"a.jpg": FRACTIONS}})
  picture = raw_tree.jpeg(64, 48)
  posts = PostScenes(found.manifest, "run")
  opened = scene_builder.decode.open_picture(picture)
  listed = boxes.read_list([{"box": [16, 0, 32, 48], "score": 1}], "here")
  scene = posts.scene(opened, listed)
  np.testing.assert_allclose(scene.features, WANTED[:1])


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("content", "message"),
  [
    ({"unit": "percent", "boxes": {}}, "'pixel' or 'fraction' as 'unit' next"),
    ({"units": "fraction", "boxes": {}}, r"next to 'boxes', got \['units'\]"),
    ({"boxes": {}}, r"'protocol' or 'unit' next to 'boxes', got \[\]"),
    (
      {"unit": "fraction", "boxes": {"a.jpg": [{"box": [0, 0, 9, 9]}]}},
      "as 'score'",
    ),
    (
      {
        "unit": "fraction",
        "boxes": {"a.jpg": [{"box": [0, 0, 1.5, 1], "score": 1}]},
      },
      r"'a.jpg', box 0: expected fractions of the picture, from 0 to 1, got \[",
    ),
    ({"a.jpg": FRACTIONS}, "'a.jpg', box 0: expected pixels of the picture"),
  ],
)
def test_files_of_another_unit_are_refused(make, content, message):
  with pytest.raises(ValueError, match=message):
    make(content)


@pytest.mark.silent_input
def test_boxes_need_a_picture_around_them_and_pixels_a_picture():
  outside = boxes.read_list([{"box": [64, 0, 70, 9], "score": 1}], "here")
  with pytest.raises(ValueError, match="expected a part of the 64 x 48 pict"):
    scene_builder.make_scene((64, 48), outside, GEOMETRY)
  inside = boxes.read_list([{"box": [0, 0, 70, 9], "score": 1}], "here")
  pixels = region_encoder.load("pixels")
  with pytest.raises(ValueError, match=r"a picture, got its size \(64, 48\)"):
    scene_builder.make_scene((64, 48), inside, pixels)
