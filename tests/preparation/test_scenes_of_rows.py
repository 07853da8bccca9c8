"""Scenes of datasets whose rows list the objects of their pictures."""

import json

import numpy as np
import object_trees
import pytest
import raw_tree
import resnets
import scene_graph_files
from format_files import line, write_jsonl

from ifa_jax.convert.sources import sha256
from ifa_jax.data import schema
from ifa_jax.data.scenes import store
from ifa_jax.preparation.scenes import splits

BOXES = [
  {"box": [1, 1, 9, 9], "score": 0.3},
  {"box": [5, 5, 50, 40], "score": 0.1},
  {"box": [0, 0, 30, 20], "score": 0.4, "label": "dog"},
  # A grounded object with the edges of a detected one.
  {"box": [1, 1, 9, 9], "score": 0.3, "phrase": "Bill Cosby"},
]
WANTED = [BOXES[2], BOXES[0], BOXES[3]]
PICTURE = raw_tree.jpeg(80, 40)


@pytest.fixture(name="produce")
def producer(tmp_path, monkeypatch):
  """Makes the scenes of a row in JSON lines; returns counts and folder."""

  def run(row=None, **flags):
    row = row or line(image="a.jpg", boxes=BOXES, id="mine")
    raw_dir = write_jsonl(tmp_path / "lines", [row, line()])
    (tmp_path / "lines/images").mkdir(exist_ok=True)
    (tmp_path / "lines/images/a.jpg").write_bytes(PICTURE)
    flags = {"format": "jsonl", "raw_dir": raw_dir} | flags
    return splits.produce(splits.Settings(out="out", parser="chain", **flags))

  (tmp_path / "boxes.json").write_text(json.dumps({"a.jpg": BOXES}))
  monkeypatch.chdir(tmp_path)
  return run


def test_the_objects_are_the_boxes_of_the_rows(produce):
  counts = produce()
  assert counts["train"]["rows"] == 2
  assert counts["train"]["scenes"] == counts["train"]["pictures"] == 1
  found = store.read_split("out", "train")
  assert len(found.heads("mine")) == 4
  scene = found.scene("a.jpg")
  assert scene.boxes.tolist() == [x["box"] for x in WANTED]
  assert scene.labels == ["dog", "", "Bill Cosby"]
  assert found.manifest["sources"] == [
    sha256(f"lines/{split}.jsonl") for split in schema.SPLITS
  ]


def test_a_file_of_the_same_boxes_gives_the_same_scenes(produce, tmp_path):
  produce()
  of_rows = store.read_split("out", "val").scene("a.jpg")
  (tmp_path / "out").rename(tmp_path / "first")
  produce(line(image="a.jpg"), boxes="boxes.json")
  of_file = store.read_split("out", "val").scene("a.jpg")
  for found, wanted in zip(of_rows, of_file, strict=True):
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
@pytest.mark.usefixtures("fast_compilation")
def test_a_pyramid_has_the_boxes_of_the_rows_as_regions(produce, tmp_path):
  resnet = resnets.write(tmp_path / "resnet")
  counts = produce(encoder=f"pyramid:{resnet}")
  assert counts["test"]["objects"] == 1 + 3
  scene = store.read_split("out", "test").scene("a.jpg")
  assert scene.boxes.tolist() == [[0, 0, 80, 40], *(x["box"] for x in WANTED)]


@pytest.mark.parametrize("name", ["more", "umre"])
def test_an_object_that_is_listed_with_its_name_is_one(name, tmp_path, produce):
  write = getattr(object_trees, f"write_{name}")
  rows = [object_trees.row(), object_trees.row()]
  raw_dir = write(tmp_path / name, rows, pictures={"a.jpg": PICTURE})
  produce(format=name, raw_dir=raw_dir)
  scene = store.read_split("out", "val").scene("a.jpg")
  assert scene.labels == ["[OBJ0]", "[OBJ1]", "[OBJ2]"]
  wanted = [(0, 10, 40, 30), (50, 0, 70, 20), (0, 17.1, 2.532, 32.9)]
  np.testing.assert_allclose(scene.boxes, wanted, atol=0.03)


@pytest.mark.silent_input
def test_other_boxes_are_refused(produce, tmp_path):
  with pytest.raises(
    ValueError,
    match=r"^--boxes: expected none, as the rows have boxes, got boxes\.json$",
  ):
    produce(boxes="boxes.json")
  assert not (tmp_path / "out").exists()


@pytest.mark.silent_input
def test_scene_graphs_are_refused(produce, tmp_path):
  for name, content in (
    ("custom_prediction.json", scene_graph_files.PREDICTION),
    ("custom_data_info.json", scene_graph_files.INFO),
  ):
    (tmp_path / name).write_text(json.dumps(content))
  with pytest.raises(
    ValueError, match=r"^--scene_graphs: expected none, as .*got custom_pred"
  ):
    produce(scene_graphs=["custom_prediction.json"])


@pytest.mark.silent_input
def test_rows_without_boxes_need_other_objects(produce):
  with pytest.raises(
    ValueError, match=r"or rows with boxes, got none of them$"
  ):
    produce(line(image="a.jpg"))
