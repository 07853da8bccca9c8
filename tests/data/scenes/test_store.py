"""Files of scenes: a round trip, and checks on reading."""

import hashlib
import json

import numpy as np
import pytest
import scene_trees

from ifa_jax.data.scenes import store

BARE = {
  "size": (0, 0),
  "boxes": None,
  "labels": [],
  "features": None,
  "edges": None,
  "edge_labels": [],
  "edge_scores": [],
}


def random_pictures(seed=0):
  """Pictures with different missing parts."""
  rng = np.random.default_rng(seed)
  return {
    "a.jpg": scene_trees.scene(rng),
    "none.jpg": scene_trees.scene(rng, num_objects=0),
    "bare.jpg": scene_trees.scene(rng, num_objects=3, **BARE),
    "no_edge.jpg": scene_trees.scene(rng, num_objects=1, num_edges=0),
    "known edges.jpg": scene_trees.scene(
      rng, num_objects=5, **BARE | {"edges": np.array([(0, 4), (4, 2)])}
    ),
    "unlabelled.jpg": scene_trees.scene(
      rng, labels=[], edge_labels=[], edge_scores=[]
    ),
    "größer.jpg": scene_trees.scene(rng, num_objects=12, num_edges=40),
  }


def assert_same(found, wanted):
  assert found._fields == wanted._fields
  for name in wanted._fields:
    a, b = getattr(found, name), getattr(wanted, name)
    if b is None:
      assert a is None, name
    elif name in ("labels", "edge_labels"):
      assert a == list(b)
      assert all(type(label) is str for label in a)
    else:
      np.testing.assert_array_equal(a, b, err_msg=name)
  assert found.num_objects == wanted.num_objects


def test_round_trip(tmp_path):
  pictures = random_pictures()
  sentences = {"test/1": [1, -1, 1], "test/3": [-1], "test/4": [-1, -1]}
  found = scene_trees.write(tmp_path, pictures, sentences)
  for img_id, wanted in pictures.items():
    assert_same(found.scene(img_id), wanted)
  for row_id, heads in sentences.items():
    assert found.heads(row_id).tolist() == heads
  assert found.scene("b.jpg") is None
  assert found.heads("test/2") is None
  assert (found.feature_dim, found.has_labels) == (6, True)
  facts = {"format_version": 1, "feature_dim": 6, "num_images": 7}
  facts |= {"num_rows": 3} | scene_trees.MANIFEST
  facts["sha256"] = hashlib.sha256(
    (tmp_path / "test.npz").read_bytes()
  ).hexdigest()
  assert found.manifest == facts
  assert sorted(p.name for p in tmp_path.iterdir()) == ["test.json", "test.npz"]


def test_types_are_as_documented(tmp_path):
  rng = np.random.default_rng(1)
  given = scene_trees.scene(rng)
  half = scene_trees.write(tmp_path, {"a.jpg": given}).scene("a.jpg")
  wide = given._replace(features=given.features.astype(np.float64))
  whole = scene_trees.write(tmp_path, {"a.jpg": wide}).scene("a.jpg")
  assert half.features.dtype == np.float16
  assert whole.features.dtype == np.float32
  assert half.boxes.dtype == half.scores.dtype == np.float32
  assert type(half.size[0]) is int


def test_a_split_may_have_no_picture_and_no_sentence(tmp_path):
  found = scene_trees.write(tmp_path, {})
  assert (found.feature_dim, found.has_labels) == (0, False)
  assert found.scene("a.jpg") is None


def test_no_edge_is_not_the_same_as_no_relations(tmp_path):
  rng = np.random.default_rng(2)
  pictures = {
    "none found.jpg": scene_trees.scene(rng, num_edges=0),
    "unseen.jpg": scene_trees.scene(rng, **BARE),
  }
  found = scene_trees.write(tmp_path, pictures)
  assert found.scene("none found.jpg").edges.shape == (0, 2)
  assert found.scene("unseen.jpg").edges is None


@pytest.mark.parametrize("key", scene_trees.MANIFEST)
def test_a_manifest_says_how_scenes_were_made(key, tmp_path):
  manifest = dict(scene_trees.MANIFEST)
  del manifest[key]
  with pytest.raises(ValueError, match=rf"test.json: expected the key '{key}'"):
    store.write_split(tmp_path, "test", {}, {}, manifest)
  assert not list(tmp_path.iterdir())


def test_relations_have_a_known_source(tmp_path):
  with pytest.raises(ValueError, match=r"expected relations of .*got 'magic'"):
    scene_trees.write(tmp_path, {}, relations="magic")


EMPTY = {scene_trees.write: {"pictures": {}}, store.read_split: {}}


@pytest.mark.parametrize("call", EMPTY)
def test_splits_have_the_names_of_the_schema(call, tmp_path):
  with pytest.raises(ValueError, match=r"'train', 'val', .* got 'dev'"):
    call(tmp_path, split="dev", **EMPTY[call])


@pytest.fixture
def written(tmp_path):
  """A folder with a good split, to be damaged."""
  scene_trees.write(tmp_path, random_pictures(), {"test/1": [1, -1]})
  return tmp_path


def read_error(folder):
  with pytest.raises(ValueError, match=r"^\S+test\.(npz|json): ") as caught:
    store.read_split(folder, "test")
  assert "\n" not in str(caught.value)
  return str(caught.value)


def change_manifest(folder, **changes):
  path = folder / "test.json"
  manifest = json.loads(path.read_text()) | changes
  kept = {k: v for k, v in manifest.items() if v is not KeyError}
  path.write_text(json.dumps(kept))


def change_arrays(folder, **changes):
  """Replaces arrays, and their hash."""
  path = folder / "test.npz"
  with np.load(path) as file:
    arrays = dict(file) | changes
  np.savez(path, **{k: v for k, v in arrays.items() if v is not KeyError})
  digest = hashlib.sha256(path.read_bytes()).hexdigest()
  change_manifest(folder, sha256=digest)


@pytest.mark.silent_input
def test_an_entry_without_a_name_keeps_its_place(written):
  with np.load(written / "test.npz") as file:
    labels, predicates = (file[k].copy() for k in ("labels", "edge_labels"))
  wanted = store.read_split(written, "test").scene("a.jpg")
  # The first picture has 4 objects and 5 edges.
  labels[[0, 2]] = predicates[[1, 3]] = -1
  change_arrays(written, labels=labels, edge_labels=predicates)
  found = store.read_split(written, "test").scene("a.jpg")
  assert found.labels == ["", wanted.labels[1], "", wanted.labels[3]]
  assert found.edge_labels == [
    "" if place in (1, 3) else name
    for place, name in enumerate(wanted.edge_labels)
  ]


def test_an_empty_name_is_none(tmp_path):
  rng = np.random.default_rng(5)
  pictures = {"a.jpg": scene_trees.scene(rng, labels=[""] * 4)}
  assert not scene_trees.write(tmp_path, pictures).has_labels
  pictures["b.jpg"] = scene_trees.scene(rng, labels=["", "", "cup", ""])
  assert scene_trees.write(tmp_path, pictures).has_labels


@pytest.mark.parametrize("name", ["test.npz", "test.json"])
def test_an_absent_file_is_named(name, written):
  (written / name).unlink()
  assert f"{name}: expected scenes of this split, got no file" in read_error(
    written
  )


def test_a_damaged_file_is_found_by_its_hash(written):
  data = bytearray((written / "test.npz").read_bytes())
  data[len(data) // 2] ^= 1
  (written / "test.npz").write_bytes(data)
  assert "expected the sha256" in read_error(written)


def test_a_file_of_something_else_is_refused(written):
  (written / "test.npz").write_bytes(b"PK hello")
  digest = hashlib.sha256(b"PK hello").hexdigest()
  change_manifest(written, sha256=digest)
  assert "not arrays of numpy" in read_error(written)


def test_pickled_arrays_are_refused(written):
  change_arrays(written, images=np.array([{}] * 7, object))
  assert "not arrays of numpy" in read_error(written)


@pytest.mark.parametrize(
  ("text", "message"), [("{", "not JSON"), ("[]", "a format_version")]
)
def test_a_manifest_is_a_json_object(text, message, written):
  (written / "test.json").write_text(text)
  assert message in read_error(written)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"format_version": 2}, "expected scene format 1, got 2"),
    ({"feature_dim": 7}, "expected feature_dim=6, as in test.npz, got 7"),
    ({"num_images": 6}, "expected num_images=7, as in test.npz, got 6"),
    ({"num_rows": 2}, "expected num_rows=1, as in test.npz, got 2"),
    ({"sha256": KeyError}, "expected the key 'sha256'"),
    ({"num_rows": KeyError}, "expected the key 'num_rows'"),
    ({"relations": "hearsay"}, "expected relations of"),
  ],
)
def test_a_manifest_fits_its_arrays(changes, message, written):
  change_manifest(written, **changes)
  assert message in read_error(written)


def test_a_second_writing_replaces_the_first(written):
  found = scene_trees.write(written, {}, {"test/5": [-1]})
  assert found.scene("a.jpg") is None
  assert found.heads("test/5").tolist() == [-1]


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"scores": KeyError}, "expected the array 'scores', got none"),
    ({"scores": np.zeros(29, int)}, "expected scores of kind 'f' with 1 axes"),
    ({"scores": np.zeros((29, 1))}, "got float64 with 2"),
    ({"scores": np.zeros(28)}, "along an axis of scores, got 28"),
    ({"given": np.ones((7, 5), bool)}, "expected 4 along an axis of given"),
    ({"rows": np.array(["test/1", "test/2"])}, "along an axis of head_offsets"),
    ({"images": np.array(["a"] * 7)}, "distinct images, got 'a' 7 times"),
    ({"head_offsets": np.array([0, 1])}, "head_offsets rising from 0 to 2"),
    ({"head_offsets": np.array([1, 2])}, "head_offsets rising from 0 to 2"),
    (
      {"object_offsets": np.array([0, 4, 3, 7, 8, 13, 17, 29])},
      "object_offsets rising from 0 to 29",
    ),
    ({"labels": np.full(29, 4)}, "labels of 4 names, got 4"),
    ({"labels": np.full(29, -2)}, "labels of 4 names, got -2"),
    (
      {"given": np.zeros((7, 4), bool)},
      "'a.jpg': expected no edge if",
    ),
    ({"features": np.zeros((29, 0))}, "features of a width above 0"),
  ],
)
def test_arrays_fit_each_other(changes, message, written):
  change_arrays(written, **changes)
  assert message in read_error(written)
