"""Inconsistent scenes are not written."""

import numpy as np
import pytest
import scene_trees

from ifa_jax.data.scenes import store

BAD_SCENES = {
  "labels of another length": ({"labels": ["dog"]}, r"labels of shape \(4,\)"),
  "boxes of another length": (
    {"boxes": np.ones((3, 4))},
    r"boxes of shape \(4, 4\), got \(3, 4\)",
  ),
  "no box at all": ({"boxes": [[5, 5, 5, 9]] * 4}, r"x0 < x1 and y0 < y1"),
  "box upside down": ({"boxes": [[5, 9, 6, 2]] * 4}, r"got \[5.0, 9.0, 6"),
  "box without end": ({"boxes": [[0, 0, 9, np.inf]] * 4}, r"finite boxes"),
  "boxes without a size": ({"size": (0, 480)}, r"size above 0, got \[0, 480"),
  "three sizes": ({"size": (1, 2, 3)}, r"size of shape \(2,\)"),
  "rising scores": (
    {"scores": [0.5, 0.25, 0.75, 0.1]},
    r"descending scores, got 0.75",
  ),
  "score that is no number": ({"scores": [np.nan] * 4}, r"finite scores"),
  "feature that is no number": (
    {"features": np.full((4, 6), np.nan)},
    r"finite features",
  ),
  "feature without end": (
    {"features": np.diag([1, 2, 3, -np.inf, 4, 5])[:4]},
    r"finite features",
  ),
  "features of another width": (
    {"features": np.ones((4, 5))},
    r"features of shape \(4, 6\), got \(4, 5\)",
  ),
  "edge to nowhere": (
    {"edges": [(0, 1)] * 4 + [(3, 4)]},
    r"edges between the picture's objects, got \[3, 4\]",
  ),
  "edge from nowhere": ({"edges": [(-1, 1)] * 5}, r"got \[-1, 1\]"),
  "predicates of another length": (
    {"edge_labels": ["on"]},
    r"edge_labels of shape \(5,\), got \(1,\)",
  ),
  "edge score that is no number": (
    {"edge_scores": [np.nan] * 5},
    r"finite edge scores",
  ),
}


@pytest.mark.parametrize("case", BAD_SCENES)
def test_a_scene_that_contradicts_itself_is_not_written(case, tmp_path):
  changes, message = BAD_SCENES[case]
  rng = np.random.default_rng(3)
  pictures = {
    "good.jpg": scene_trees.scene(rng),
    "bad.jpg": scene_trees.scene(rng, **changes),
    "better.jpg": scene_trees.scene(rng),
  }
  with pytest.raises(ValueError, match=rf"^test.npz: .*'bad.jpg'.*{message}"):
    scene_trees.write(tmp_path / "new", pictures)
  assert not (tmp_path / "new").exists()


def test_boxes_in_parts_of_1_are_only_read_where_their_unit_is_known(tmp_path):
  parts = [[0.1, 0, 0.6, 1]] * 4
  rng = np.random.default_rng(3)
  pictures = {"bad.jpg": scene_trees.scene(rng, boxes=parts)}
  message = r"test.npz: 'bad.jpg': expected boxes in pixels, not in fractions"
  with pytest.raises(ValueError, match=message):
    scene_trees.write(tmp_path, pictures)
  found = scene_trees.write(tmp_path, pictures, tool=store.OWN_TOOL)
  np.testing.assert_allclose(found.scene("bad.jpg").boxes, parts)


def test_edges_need_their_objects_of_their_own_picture(tmp_path):
  rng = np.random.default_rng(4)
  small = scene_trees.scene(rng, num_objects=2, num_edges=1)
  pictures = {
    "a.jpg": scene_trees.scene(rng, num_objects=9),
    "b.jpg": small._replace(edges=np.array([(0, 2)])),
  }
  with pytest.raises(ValueError, match=r"'b.jpg': expected edges"):
    scene_trees.write(tmp_path, pictures)


@pytest.mark.parametrize(
  ("heads", "message"),
  [
    ([-1, 2], r"'test/7': expected heads among .* got 2"),
    ([-2, 0], r"'test/7': expected heads among .* got -2"),
    ([-1, 1], r"'test/7': expected no word that is its own head, got 1"),
  ],
)
def test_heads_are_other_words(heads, message, tmp_path):
  sentences = {"test/1": [-1, 0, 1], "test/7": heads}
  with pytest.raises(ValueError, match=message):
    scene_trees.write(tmp_path, {}, sentences)


@pytest.mark.parametrize(
  "absent", [np.ones(5), np.ones((1, 6)), np.array([1.0] * 5 + [np.inf])]
)
def test_absent_features_are_as_wide_as_the_others(absent, tmp_path):
  pictures = {"a.jpg": scene_trees.scene(np.random.default_rng(0))}
  with pytest.raises(ValueError, match="expected absent of 6 finite numbers"):
    store.write_split(
      tmp_path, "test", pictures, {}, scene_trees.MANIFEST, absent
    )


def test_a_split_without_objects_has_absent_features(tmp_path):
  absent = np.arange(6.0)
  store.write_split(tmp_path, "test", {}, {}, scene_trees.MANIFEST, absent)
  np.testing.assert_array_equal(
    store.read_split(tmp_path, "test").absent, absent
  )
