"""Scene graphs of Scene Graph Benchmark: read, scaled, and cut to scenes."""

import copy
import json

import numpy as np
import pytest
import raw_tree
from PIL import Image
from scene_graph_files import INFO, PREDICTION

from ifa_jax.data.scenes.store import read_split
from ifa_jax.detection import region_encoder
from ifa_jax.preparation.scenes import graphs, splits

PIXELS = region_encoder.load("pixels")


@pytest.fixture
def write(tmp_path):
  """Writes both files and returns the path of the predictions."""

  def write_both(prediction=PREDICTION, info=INFO):
    (tmp_path / "custom_data_info.json").write_text(json.dumps(info))
    path = tmp_path / "custom_prediction.json"
    path.write_text(json.dumps(prediction))
    return str(path)

  return write_both


@pytest.fixture
def picture():
  rng = np.random.default_rng(0)
  return Image.fromarray(rng.integers(0, 256, (200, 300, 3), np.uint8))


@pytest.mark.parametrize(
  ("size", "resized"),
  [
    ((300, 200), (900, 600)),
    ((200, 300), (600, 900)),
    ((500, 500), (600, 600)),
    # The longer side decides: 1000 * 500 / 2000.
    ((2000, 500), (1000, 250)),
    ((640, 479), (801, 600)),
    ((1080, 599), (1000, 555)),
    # And is rounded down afterwards.
    ((1999, 500), (999, 250)),
  ],
)
def test_sizes_of_resized_pictures(size, resized):
  assert graphs.resized_size(size) == resized


def test_a_graph_becomes_a_scene_in_the_pictures_pixels(write, picture):
  graph = graphs.read_graphs(write())["a.jpg"]
  scene = graphs.make_scene(picture, graph, PIXELS)
  # 0.2 is not over 0.2; a right edge at 299 is the end of pixel 299.
  want = [[0, 0, 100, 50], [30, 10, 300, 200], [1, 1, 10, 10]]
  np.testing.assert_allclose(scene.boxes, want, rtol=1e-6)
  assert scene.labels == ["man", "dog", "hat"]
  crops = [picture.crop(tuple(box)) for box in want]
  np.testing.assert_allclose(
    scene.features, PIXELS.encode(crops), rtol=0, atol=1e-3
  )
  # Best first, without itself, the box that is left out, and a score of 0.1.
  assert scene.edges.tolist() == [[1, 0], [0, 2], [2, 1]]
  assert scene.edge_labels == ["on", "wearing", "wearing"]
  np.testing.assert_allclose(scene.edge_scores, [0.95, 0.9, 0.11])


def test_relations_follow_their_boxes_into_the_order_of_scores(write, picture):
  changed = copy.deepcopy(PREDICTION)
  changed["1"]["bbox_scores"] = [0.3, 0.8, 0.9, 0.1]
  graph = graphs.read_graphs(write(changed))["a.jpg"]
  scene = graphs.make_scene(picture, graph, PIXELS)
  assert scene.labels == ["hat", "dog", "man"]
  assert scene.edges.tolist() == [[1, 2], [2, 0], [0, 1]]
  two = graphs.make_scene(picture, graph, PIXELS, num_objects=2)
  assert two.edges.tolist() == [[0, 1]]


def test_sixty_relations_are_kept(write, picture):
  num, rng = 12, np.random.default_rng(0)
  pairs = [[i, j] for i in range(num) for j in range(num) if i != j]
  scores = rng.uniform(0.2, 1, len(pairs)).tolist()
  many = {
    "bbox": [[i, i, i + 50, i + 50] for i in range(num)],
    "bbox_labels": [1] * num,
    "bbox_scores": [0.9] * num,
    "rel_pairs": pairs,
    "rel_labels": [1] * len(pairs),
    "rel_scores": scores,
  }
  graph = graphs.read_graphs(write({"1": many}))["a.jpg"]
  scene = graphs.make_scene(picture, graph, PIXELS)
  np.testing.assert_allclose(
    scene.edge_scores, sorted(scores, reverse=True)[:60], rtol=1e-6
  )
  best = pairs[int(np.argmax(scores))]
  assert scene.edges[0].tolist() == best


def test_boxes_of_another_picture_are_refused(write, picture):
  graph = graphs.read_graphs(write())["a.jpg"]
  with pytest.raises(ValueError, match="300 is resized to 600 x 900"):
    graphs.make_scene(picture.transpose(Image.ROTATE_90), graph, PIXELS)


BAD_PICTURES = {
  "bbox": (["no", [0, 0, 9, 9], [0] * 4, [0] * 4], "box 0: .* four"),
  "bbox_scores": ([0.1, 0.2], r"equally many .* got \[4, 4, 2\]"),
  "bbox_labels": ([1, 2, 3, 4], "box 3: expected one of 4 names, got 4"),
  "rel_pairs": ([[0, 4]] * 6, r"relation 0: expected two of 4 boxes, got \[0"),
  "rel_labels": ([1, 3, 1, 1, 1, 1], "relation 1: expected one of 3 names"),
  "rel_scores": (["no"] * 6, "relation 0: expected a finite number as score"),
}


@pytest.mark.parametrize("key", BAD_PICTURES)
def test_what_is_wrong_with_a_picture_is_named(write, key):
  value, message = BAD_PICTURES[key]
  path = write({"1": PREDICTION["1"] | {key: value}})
  with pytest.raises(ValueError, match=f"picture '1'.*{message}"):
    graphs.read_graphs(path)
  path = write({"1": {k: v for k, v in PREDICTION["1"].items() if k != key}})
  with pytest.raises(ValueError, match=f"expected a list as '{key}'"):
    graphs.read_graphs(path)


@pytest.mark.silent_input
@pytest.mark.parametrize(
  "boxes",
  [
    [[0.1, 0.1, 0.6, 0.8], [0, 0, 1, 1], [0.5, 0, 1.01, 1], [0, 0, 0.2, 0.2]],
    [[0, 0, 9, 9], [0.1, 0.1, 0.6, 0.8], [0] * 4, [0] * 4],
  ],
)
def test_boxes_in_parts_of_a_picture_are_refused(write, boxes):
  path = write({"1": PREDICTION["1"] | {"bbox": boxes}})
  message = r"'1', box [01]: expected pixels .* got \[0.1, 0.1, 0.6, 0.8\]"
  with pytest.raises(ValueError, match=message):
    graphs.read_graphs(path)


def test_what_is_wrong_with_the_files_is_named(write, tmp_path):
  for prediction, info, message in (
    (
      {"2": {}},
      INFO,
      "expected pictures 0 to 1 of custom_data_info.json",
    ),
    ([], INFO, "expected an object of pictures"),
    (PREDICTION, {}, "expected a list as 'idx_to_files'"),
    (
      {
        "0": PREDICTION["1"],
        "1": PREDICTION["1"],
      },
      INFO | {"idx_to_files": ["a/a.jpg", "b/a.jpg"]},
      "two pictures are named 'a.jpg'",
    ),
  ):
    with pytest.raises(ValueError, match=message):
      graphs.read_graphs(write(prediction, info))
  path = write()
  (tmp_path / "custom_data_info.json").unlink()
  with pytest.raises(FileNotFoundError, match=r"custom_data_info\.json"):
    graphs.read_graphs(path)


@pytest.mark.silent_input
def test_a_small_object_of_a_small_picture_is_kept(write, tmp_path):
  changed = copy.deepcopy(PREDICTION)
  # The picture of 30 x 20 was resized to 900 x 600.
  changed["1"]["bbox"][0] = [0, 0, 3, 3]
  pictures = {"test/a.jpg": raw_tree.jpeg(30, 20)}
  raw_dir = raw_tree.write_tree(tmp_path / "raw", [raw_tree.row()], pictures)
  out = str(tmp_path / "out")
  splits.produce(
    splits.Settings(raw_dir, out, scene_graphs=[write(changed)], parser="chain")
  )
  boxes = read_split(out, "test").scene("a.jpg").boxes
  np.testing.assert_allclose(boxes.min(axis=0)[2:], [4 / 30, 4 / 30], rtol=1e-6)


def test_scenes_of_a_tree(write, tmp_path):
  rows = [raw_tree.row(), raw_tree.row(img_id="gone.jpg")]
  pictures = {"test/a.jpg": raw_tree.jpeg(300, 200)}
  raw_dir = raw_tree.write_tree(tmp_path / "raw", rows, pictures)
  settings = splits.Settings(
    raw_dir=raw_dir,
    out=str(tmp_path / "out"),
    scene_graphs=[write()],
    parser="chain",
  )
  counts = splits.produce(settings)
  assert (counts["val"]["scenes"], counts["val"]["edges"]) == (1, 3)
  found = read_split(settings.out, "val")
  assert found.manifest["relations"] == "detector"
  assert found.manifest["thresholds"] == {"object": 0.2, "relation": 0.1}
  assert found.scene("a.jpg").edge_labels == ["on", "wearing", "wearing"]
  with pytest.raises(ValueError, match=r"'a.jpg' in another file as well"):
    splits.Maker(
      splits.Settings(raw_dir, "out", scene_graphs=[write(), write()])
    )
