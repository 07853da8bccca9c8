"""Published coordinates of crops as boxes, and the protocol they serve."""

import json
import logging

import pytest
import raw_tree

from ifa_jax.data.images import boxes
from ifa_jax.data.scenes.store import read_split
from ifa_jax.preparation.mnre.plan import Planner
from ifa_jax.preparation.mnre.plan import Settings as Preparation
from ifa_jax.preparation.published_boxes.command import Settings, produce
from ifa_jax.preparation.scenes import splits

# a.jpg is 64 x 48.
WHOLE = (0.5, 0.5, 1.0, 1.0, 1.0)
CORNER = (0.125, 0.25, 0.25, 0.5, 0.125)
THIN = (0.5, 0.5, 0.5, 1 / 3, 1 / 6)
DETECTED = {
  "a_crop_1.jpg": CORNER,
  "a_crop_0.jpg": WHOLE,
  "b_crop_0.jpg": THIN,
  "c_crop_0.jpg": WHOLE,
  # Of val, and of test.
  "d_crop_0.jpg": WHOLE,
  "e_crop_0.jpg": WHOLE,
}
GROUNDED = {
  "train": {
    "0_pred_yolo_crop_5.png": CORNER,
    "0_pred_yolo_crop_6.png": WHOLE,
    "1_pred_yolo_crop_7.png": THIN,
    "2_pred_yolo_crop_8.png": WHOLE,
  },
  "val": {"0_pred_yolo_crop_9.png": WHOLE},
  "test": {"0_pred_yolo_crop_1.png": WHOLE},
}


OTHERS = {"val": "d", "test": "e"}


@pytest.fixture
def tree(tmp_path):
  rows = [raw_tree.row(img_id=name) for name in ("a.jpg", "b.jpg", "a.jpg")]
  rows.append(raw_tree.row(img_id="lost.jpg"))
  lists = {
    "train": {
      # The order of the list is that of the crops.
      0: ["0_pred_yolo_crop_6.png", "0_pred_yolo_crop_5.png"],
      1: ["1_pred_yolo_crop_7.png"],
      2: ["2_pred_yolo_crop_8.png"],
      3: [],
    },
    "val": {0: ["0_pred_yolo_crop_9.png"]},
    "test": {0: ["0_pred_yolo_crop_1.png"]},
  }
  return raw_tree.write_tree(
    tmp_path / "tree",
    {"train": rows}
    | {x: [raw_tree.row(img_id=f"{y}.jpg")] for x, y in OTHERS.items()},
    {
      "train/a.jpg": raw_tree.jpeg(64, 48, seed=1),
      "train/b.jpg": raw_tree.jpeg(60, 40, seed=2),
      **{f"{x}/{y}.jpg": raw_tree.jpeg(10, 10) for x, y in OTHERS.items()},
    },
    {
      f"txt/mre_{split}_dict.pth": raw_tree.torch_pickle(crops)
      for split, crops in lists.items()
    },
  )


@pytest.fixture
def write(tmp_path):
  """Writes a published file and returns its path."""

  def run(content, name="x.pth"):
    (tmp_path / name).write_bytes(raw_tree.torch_pickle(content))
    return str(tmp_path / name)

  return run


@pytest.fixture
def convert(tree, tmp_path):
  """Converts files; returns the counts."""

  def run(*files, **changes):
    given = {"raw_dir": tree, "out": str(tmp_path / "boxes.json")}
    return produce(Settings(boxes=files, **given | changes))

  return run


def released(convert, write, *splits, **changes):
  files = [write(GROUNDED[x], f"{x}.pth") for x in splits or GROUNDED]
  return convert(*files, crops="grounded", protocol="released", **changes)


def test_detected_boxes_are_in_pixels_and_in_their_order(
  convert, write, tmp_path, caplog
):
  with caplog.at_level(logging.WARNING, "ifa_jax"):
    counts = convert(write(DETECTED))
  found = json.loads((tmp_path / "boxes.json").read_text())
  expected = {
    "a.jpg": [[0, 0, 64, 48], [0, 0, 16, 24]],
    "b.jpg": [[15, 13.333, 45, 26.667]],
    "d.jpg": [[0, 0, 10, 10]],
    "e.jpg": [[0, 0, 10, 10]],
  }
  assert found == {
    name: [{"box": box, "score": 1.0} for box in listed]
    for name, listed in expected.items()
  }
  assert [*found] == ["a.jpg", "b.jpg", "d.jpg", "e.jpg"]
  assert "1 of 5 pictures with boxes are of no row, first 'c'" in caplog.text
  assert "1 of 5 pictures have no file" in caplog.text
  assert "first 'lost.jpg'" in caplog.text
  assert counts == {
    "boxes in the files": 6,
    "pictures of the tree": 5,
    "without a box": 1,
    "without a file": 1,
    "pictures written": 4,
    "boxes written": 5,
  }
  read = boxes.read_boxes(tmp_path / "boxes.json")
  assert [box.edges for box in read["a.jpg"]] == [
    (0, 0, 64, 48),
    (0, 0, 16, 24),
  ]


def test_fractions_need_no_picture_and_become_the_same_pixels(
  convert, write, tmp_path
):
  convert(write(DETECTED))
  in_pixels = boxes.read_boxes(tmp_path / "boxes.json")
  counts = convert(write(DETECTED), unit="fraction")
  found = json.loads((tmp_path / "boxes.json").read_text())
  assert found["unit"] == "fraction"
  assert found["boxes"]["b.jpg"] == [
    {"box": [0.25, 0.333333333, 0.75, 0.666666667], "score": 1.0}
  ]
  names = ["a.jpg", "b.jpg", "lost.jpg", "d.jpg", "e.jpg"]
  assert [*found["boxes"]] == names
  assert (counts["without a file"], counts["pictures written"]) == (0, 5)
  read = boxes.read_file(tmp_path / "boxes.json")
  for name, size in (("a.jpg", (64, 48)), ("b.jpg", (60, 40))):
    assert read.in_pixels(name, size) == in_pixels[name]
  with pytest.raises(ValueError, match=r"boxes.json: expected boxes in pixels"):
    boxes.read_boxes(tmp_path / "boxes.json")


def test_grounded_fractions_are_marked_as_well(convert, write, tmp_path):
  released(convert, write, unit="fraction")
  found = boxes.read_file(tmp_path / "boxes.json")
  assert (found.protocol, found.unit) == ("released", "fraction")


def test_the_tree_can_be_prepared_with_detected_boxes(
  convert, write, tree, tmp_path
):
  convert(write(DETECTED))
  planner = Planner(
    Preparation(
      raw_dir=tree,
      data_dir=str(tmp_path / "data"),
      protocol="none",
      boxes=str(tmp_path / "boxes.json"),
      tokenizer=raw_tree.write_tokenizer(tmp_path / "tokenizer"),
    )
  )
  counts = [plan.num_detected for plan in planner.plans("train")]
  assert counts == [2, 1, 2, 0]


def test_grounded_boxes_are_those_of_all_rows_of_a_picture(
  convert, write, tmp_path
):
  released(convert, write)
  found = json.loads((tmp_path / "boxes.json").read_text())
  assert found["protocol"] == "released"
  edges = {
    name: [box["box"] for box in listed]
    for name, listed in found["boxes"].items()
  }
  # In the order of the dictionary; the third row repeats a box.
  assert edges["a.jpg"] == [[0, 0, 64, 48], [0, 0, 16, 24]]
  assert edges["b.jpg"] == [[15, 13.333, 45, 26.667]]


def test_grounded_boxes_serve_no_other_protocol(convert, write, tree, tmp_path):
  file = write(GROUNDED["train"])
  for protocol in ("clean", "none"):
    with pytest.raises(ValueError, match="follow the relation of their row; e"):
      convert(file, crops="grounded", protocol=protocol)
  # Neither another name nor another flag hides the kind.
  with pytest.raises(ValueError, match="expected --crops=grounded, as the nam"):
    convert(write(GROUNDED["train"], "detect.pth"))
  released(convert, write)
  path = str(tmp_path / "boxes.json")
  with pytest.raises(ValueError, match=r"boxes.json: expected boxes that do"):
    boxes.read_boxes(path)
  out = str(tmp_path / "scenes")
  splits.produce(
    splits.Settings(raw_dir=tree, out=out, boxes=path, parser="chain")
  )
  assert read_split(out, "train").manifest["protocol"] == "released"


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ([1], r"expected a dict of crops, got \[1\]"),
    ({}, "expected a dict of crops, got {}"),
    ({"a.jpg": WHOLE}, "as the name of a crop, got 'a.jpg'"),
    ({3: WHOLE}, "as the name of a crop, got 3"),
    (DETECTED | GROUNDED["train"], "names of detected crops, got '0_pred"),
    ({"a_crop_0.jpg": WHOLE[:4]}, "'a_crop_0.jpg': expected five finite num"),
    ({"a_crop_0.jpg": (0.5, 0.5, 1, 1, float("nan"))}, "five finite numbers"),
    ({"a_crop_0.jpg": (0.5, 0.5, 1, 1, 0.9)}, "inside it, got"),
    ({"a_crop_0.jpg": (0.6, 0.5, 1, 1, 1)}, "inside it, got"),
    ({"a_crop_0.jpg": (0.6, 0.5, 0, 1, 0)}, "inside it, got"),
    ({"a_crop_0.jpg": (32, 24, 64, 48, 3072)}, "in fractions of the picture"),
    ({"z_crop_0.jpg": WHOLE}, "of the tree's pictures, got 1 others, first 'z"),
  ],
)
def test_other_files_are_refused(convert, write, content, message):
  with pytest.raises(ValueError, match=message):
    convert(write(content))


def test_files_that_do_not_fit_together_are_refused(convert, write, tmp_path):
  first = write({"a_crop_0.jpg": WHOLE}, "1.pth")
  second = write({"a_crop_1.jpg": WHOLE}, "2.pth")
  with pytest.raises(ValueError, match="in one file, got 'a' in another"):
    convert(first, second)
  other = write({"9_pred_yolo_crop_5.png": WHOLE})
  with pytest.raises(ValueError, match="expected the crops of one split's"):
    convert(other, crops="grounded", protocol="released")
  (tmp_path / "bare").mkdir()
  with pytest.raises(ValueError, match="nowhere: there is no such folder"):
    convert(first, raw_dir="nowhere")
  bare = raw_tree.write_tree(tmp_path / "bare", [raw_tree.row()])
  with pytest.raises(ValueError, match="in img_org, got none of 1"):
    convert(first, raw_dir=bare)


@pytest.mark.silent_input
@pytest.mark.parametrize("left_out", ["train", "val", "test"])
def test_a_split_without_its_file_is_refused(left_out, convert, write):
  message = f"^--boxes: expected a box for some picture of {left_out}, got"
  others = [split for split in GROUNDED if split != left_out]
  with pytest.raises(ValueError, match=message):
    released(convert, write, *others)
  stems = {"train": "abc"} | OTHERS
  kept = {k: v for k, v in DETECTED.items() if k[0] not in stems[left_out]}
  with pytest.raises(ValueError, match=message):
    convert(write(kept))


@pytest.mark.silent_input
def test_a_grounded_file_that_is_named_twice_is_refused(convert, write):
  with pytest.raises(
    ValueError, match=r"val.pth: expected one file of each split, got another"
  ):
    released(convert, write, "train", "val", "test", "val")


@pytest.mark.silent_input
@pytest.mark.parametrize(
  "other",
  [
    "mine",
    '{"a.jpg": "a dog"}',
    '{"a.jpg": [{"box": [0, 0, 9, 9], "score": 0.9}]}',
    '{"a.jpg": [{"box": [0, 0, 9, 9], "score": 1, "label": "dog"}]}',
  ],
)
def test_only_its_own_file_is_replaced(other, convert, write, tmp_path):
  path = tmp_path / "boxes.json"
  for unit in ("fraction", "pixel", "fraction"):
    convert(write(DETECTED), unit=unit)
  path.write_text(other)
  with pytest.raises(ValueError, match=r"boxes.json: expected no file, or box"):
    convert(write(DETECTED))
  assert path.read_text() == other
