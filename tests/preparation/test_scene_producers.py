"""Scenes from boxes, and whole trees of them by the command."""

import json
import logging

import command_lines
import numpy as np
import pytest
import quickstart_tree
import raw_tree
from PIL import Image

from ifa_jax.data import schema
from ifa_jax.data.images import boxes
from ifa_jax.data.images.decode import open_picture
from ifa_jax.data.scenes.store import read_split
from ifa_jax.detection import region_encoder, scene_builder
from ifa_jax.preparation.scenes import maker
from ifa_jax.preparation.scenes.splits import Settings, produce

PIXELS = region_encoder.load("pixels")
LISTED = [
  {"box": [0, 0, 20, 20], "score": 0.3, "phrase": "Bill Cosby"},
  {"box": [-5, 10.5, 40, 60], "score": 0.9, "label": "dog", "phrase": "Rex"},
  {"box": [30, 30, 63, 47], "score": 0.2},
  {"box": [2, 2, 9, 9], "score": 0.6},
]


@pytest.fixture
def picture():
  rng = np.random.default_rng(0)
  return Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8))


def shrunk(picture, *edges):
  """Returns the pixels of whole-numbered edges, in [-1, 1]."""
  crop = picture.crop(edges).resize((8, 8), Image.Resampling.BICUBIC)
  return np.asarray(crop, float).ravel() / 127.5 - 1


def test_a_scene_has_the_best_boxes_with_names_and_features(picture):
  listed = boxes.read_list(LISTED, "here")
  scene = scene_builder.make_scene(picture, listed[::-1], PIXELS)
  assert scene.size == (64, 48)
  # 0.2 is not over 0.2, and a box ends where the picture does.
  edges = [[0, 10.5, 40, 48], [2, 2, 9, 9], [0, 0, 20, 20]]
  assert scene.boxes.tolist() == edges
  assert scene.boxes.dtype == np.float32
  np.testing.assert_allclose(scene.scores, [0.9, 0.6, 0.3])
  assert scene.labels == ["dog", "", "Bill Cosby"]
  want = [
    shrunk(picture, *edges)
    for edges in ((0, 10, 40, 48), (2, 2, 9, 9), (0, 0, 20, 20))
  ]
  assert scene.features.dtype == np.float16
  np.testing.assert_allclose(scene.features, want, rtol=0, atol=1e-3)
  # Nearest first; the small box and the large one share no pixel.
  assert scene.edges.tolist() == [[1, 2], [0, 2]]


def test_numbers_and_scores_of_objects_are_limited(picture):
  listed = boxes.read_list(LISTED, "here")
  few = scene_builder.make_scene(picture, listed, PIXELS, num_objects=1)
  assert few.labels == ["dog"]
  assert len(few.edges) == 0
  all_four = scene_builder.make_scene(picture, listed, PIXELS, min_score=0.1)
  assert all_four.num_objects == 4
  none = scene_builder.make_scene(picture, listed, PIXELS, min_score=0.9)
  assert (none.num_objects, none.features.shape) == (0, (0, PIXELS.dim))
  unnamed = scene_builder.make_scene(picture, listed[1:2], PIXELS)
  assert unnamed.labels == []


def test_a_box_outside_of_the_picture_is_refused(picture):
  outside = boxes.read_list([{"box": [64, 0, 70, 9], "score": 1}], "here")
  with pytest.raises(ValueError, match="a part of the upright 64 x 48 pic"):
    scene_builder.make_scene(picture, outside, PIXELS)


@pytest.fixture(scope="module")
def opened():
  """Paths of the pictures that were opened, in order."""
  return []


@pytest.fixture(scope="module")
def made(raw_dir, tmp_path_factory, opened):
  """Scenes of the generated tree, read back, and their counts."""
  out = tmp_path_factory.mktemp("scenes") / "out"

  def open_and_note(path):
    opened.append(path)
    return open_picture(path)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(maker.decode, "open_picture", open_and_note)
    counts = produce(
      Settings(
        raw_dir=str(raw_dir),
        out=str(out),
        boxes=str(raw_dir / "boxes.json"),
        parser="chain",
      )
    )
  return {split: read_split(out, split) for split in schema.SPLITS}, counts


def test_every_generated_row_has_scene_and_heads(made, raw_dir):
  found, counts = made
  listed = json.loads((raw_dir / "boxes.json").read_text())
  for split in schema.SPLITS:
    rows = quickstart_tree.rows_of(raw_dir, split)
    assert counts[split]["rows"] == counts[split]["scenes"] == len(rows)
    for line, row in enumerate(rows, start=1):
      scene = found[split].scene(row["img_id"])
      want = sorted((b["score"] for b in listed[row["img_id"]]), reverse=True)
      np.testing.assert_allclose(scene.scores, want)
      assert scene.features.shape == (len(want), PIXELS.dim)
      heads = found[split].heads(f"{split}/{line}")
      assert heads.tolist() == list(range(-1, len(row["token"]) - 1))
    assert counts[split]["objects"] == sum(
      len(listed[row["img_id"]]) for row in rows
    )


def test_a_scene_is_cut_from_its_rows_picture(made, raw_dir):
  row = quickstart_tree.rows_of(raw_dir, "test")[0]
  scene = made[0]["test"].scene(row["img_id"])
  with Image.open(raw_dir / "img_org" / "test" / row["img_id"]) as picture:
    x0, y0, x1, y1 = scene.boxes[0]
    edges = (int(x0), int(y0), int(np.ceil(x1)), int(np.ceil(y1)))
    want = shrunk(picture.convert("RGB"), *edges)
    assert scene.size == picture.size
  np.testing.assert_allclose(scene.features[0], want, rtol=0, atol=1e-3)


def test_the_manifest_describes_how_scenes_were_made(made):
  manifest = made[0]["val"].manifest
  assert manifest["features"] == PIXELS.describe()
  assert manifest["thresholds"] == {"object": 0.2}
  assert (manifest["relations"], manifest["parser"]) == ("spatial", "chain")
  assert manifest["counts"] == made[1]["val"]
  assert manifest["num_rows"] == 13


def test_each_picture_is_opened_once(made, opened):
  assert len(opened) == len(set(opened))
  assert len(opened) == sum(counts["pictures"] for counts in made[1].values())


# All splits have the same rows, so that pictures are shared.
ROWS = [
  raw_tree.row(),
  raw_tree.row("Bill in Hollywood", (0, 1), (2, 3)),
  raw_tree.row(img_id="gone.jpg"),
  raw_tree.row(img_id="empty.jpg"),
  raw_tree.row(img_id="poor.jpg"),
]
PICTURES = {
  f"train/{name}.jpg": raw_tree.jpeg() for name in ("a", "empty", "poor")
}
BOXES = {
  "a.jpg": LISTED,
  "gone.jpg": LISTED,
  "poor.jpg": [{"box": [0, 0, 9, 9], "score": 0.1}],
}


@pytest.fixture
def settings(tmp_path):
  """Makes `Settings` over a tree of `ROWS`."""
  raw_dir = raw_tree.write_tree(tmp_path / "raw", ROWS, PICTURES)
  listed = tmp_path / "boxes.json"
  listed.write_text(json.dumps(BOXES))

  def make(**changes):
    out = str(tmp_path / "out")
    values = {"raw_dir": raw_dir, "out": out, "boxes": str(listed)}
    return Settings(**values | {"parser": "chain"} | changes)

  return make


def test_pictures_without_a_scene_are_counted_and_logged(settings, caplog):
  with caplog.at_level(logging.INFO, "ifa_jax"):
    counts = produce(settings())
  for split in schema.SPLITS:
    assert counts[split] == {
      "rows": 5,
      "pictures": 4,
      "scenes": 1,
      "without a file": 1,
      "without boxes": 1,
      "without an object of that score": 1,
      "unreadable": 0,
      "objects": 3,
      "edges": 2,
    }
    assert f"{split}: no scene of 3 pictures (1 without a file" in caplog.text
  found = read_split(settings().out, "test")
  assert found.scene("a.jpg").num_objects == 3
  assert found.scene("gone.jpg") is None
  assert found.heads("test/2").tolist() == [-1, 0, 1]


def test_a_bad_picture_is_named_and_nothing_is_written(settings, tmp_path):
  (tmp_path / "raw/img_org/train/a.jpg").write_bytes(b"no picture")
  with pytest.raises(ValueError, match=r"ours_train.txt:1, picture 'a.jpg': "):
    produce(settings())
  assert not (tmp_path / "out").exists()
  (tmp_path / "out").mkdir()
  (tmp_path / "out" / "mine").touch()
  with pytest.raises(ValueError, match="nothing is overwritten"):
    produce(settings())


def test_a_bad_row_ends_the_run_or_is_left_out(settings, tmp_path):
  text = tmp_path / "raw/txt/ours_val.txt"
  text.write_text("{}\n" + text.read_text())
  with pytest.raises(ValueError, match=r"ours_val.txt:1: missing key"):
    produce(settings())
  counts = produce(settings(on_error="skip"))
  assert counts["val"]["rows"] == 5
  assert read_split(settings().out, "val").heads("val/1") is None


def test_no_folder_is_left_for_scenes_that_cannot_be_made(settings, tmp_path):
  (tmp_path / "raw/img_org/train/a.jpg").write_bytes(b"no picture")
  with pytest.raises(ValueError, match=r"picture 'a\.jpg': "):
    produce(settings(out=str(tmp_path / "deep/a/out")))
  assert not (tmp_path / "deep").exists()


@pytest.mark.silent_input
@pytest.mark.parametrize("cause", ["truncated", "two files", "box outside"])
def test_a_bad_picture_can_be_skipped(cause, settings, tmp_path, caplog):
  folder, boxes = tmp_path / "raw/img_org", dict(BOXES)
  (folder / "train/b.jpg").write_bytes(raw_tree.jpeg())
  boxes["b.jpg"] = LISTED
  if cause == "truncated":
    (folder / "train/a.jpg").write_bytes(raw_tree.jpeg()[:400])
  elif cause == "two files":
    (folder / "val").mkdir()
    (folder / "val/a.jpg").write_bytes(raw_tree.jpeg(seed=1))
  else:
    boxes["a.jpg"] = [{"box": [64, 0, 70, 9], "score": 1}]
  raw_tree.write_tree(tmp_path / "raw", [*ROWS, raw_tree.row(img_id="b.jpg")])
  path = tmp_path / "more.json"
  path.write_text(json.dumps(boxes))
  with pytest.raises(ValueError, match=r"ours_train.txt:1\W.*a\.jpg"):
    produce(settings(boxes=str(path)))
  with caplog.at_level(logging.INFO, "ifa_jax"):
    counts = produce(settings(boxes=str(path), on_error="skip"))
  assert (counts["val"]["unreadable"], counts["val"]["scenes"]) == (1, 1)
  assert "No scene of a.jpg: ours_val.txt:1" in caplog.text
  assert "1 unreadable" in caplog.text


@pytest.mark.silent_input
def test_scenes_of_no_picture_are_an_error(settings, tmp_path, caplog):
  for path in (tmp_path / "raw/img_org/train").iterdir():
    path.unlink()
  message = r"raw: expected the scene of .* of 4 pictures \(4 without a file\)$"
  with pytest.raises(ValueError, match=message):
    produce(settings())
  assert "img_org: 0 of 4 pictures found; most are missing" in caplog.text
  for bound in (float("nan"), float("inf")):
    with pytest.raises(ValueError, match=r"^--min_score: expected a finite"):
      produce(settings(min_score=bound))


def test_the_command(settings, tmp_path):
  wanted = settings()
  line = [
    "data_prep/scenes.py",
    f"--raw_dir={wanted.raw_dir}",
    f"--boxes={wanted.boxes}",
    "--parser=chain",
  ]
  done = command_lines.run_all(
    {
      "made": [*line, f"--out={wanted.out}"],
      "again": [*line, f"--out={wanted.out}"],
      "both": [*line, f"--out={tmp_path / 'b'}", "--scene_graphs=a.json"],
      "no out": line,
    },
    loaded=["ifa_jax.preparation.scenes.splits"],
  )
  assert [outcome.status for outcome in done.values()] == [0, 1, 1, 2]
  assert done["made"].out.splitlines()[-1] == wanted.out
  assert "relations spatial; parser chain" in " ".join(done["made"].out.split())
  assert "nothing is overwritten" in done["again"].err
  assert done["both"].err.splitlines() == [
    "error: expected one of --boxes and --scene_graphs, got both"
  ]
