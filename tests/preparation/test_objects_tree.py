"""Objects of a tree: interrupted, extended, and refused runs."""

import functools
import json
import logging
import os
import pathlib

import detectors
import kills
import pytest
import raw_tree
import transformers

from ifa_jax.data.images import boxes
from ifa_jax.detection.finder import ObjectFinder
from ifa_jax.preparation import counts
from ifa_jax.preparation.mnre.plan import Settings as Preparation
from ifa_jax.preparation.mnre.prepare import prepare
from ifa_jax.preparation.objects import command
from ifa_jax.preparation.objects.command import Settings, produce

pytestmark = pytest.mark.slow

MNRE_DIR = os.environ.get("MNRE_DIR")
ROWS = [
  raw_tree.row(),
  raw_tree.row(img_id="b.jpg", relation="None"),
  raw_tree.row("Rex and Bill Cosby", head=(0, 1), tail=(2, 4)),
]
PICTURES = {
  "train/a.jpg": raw_tree.jpeg(64, 48, seed=1),
  "train/b.jpg": raw_tree.jpeg(60, 40, seed=2),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
  """The flags of both models, and of thresholds that suit them."""
  folder = tmp_path_factory.mktemp("models")
  return {
    "detector": detectors.write_detector(folder / "detector"),
    "grounder": detectors.write_grounder(folder / "grounder"),
    "threshold": 0.1,
  }


@pytest.fixture
def tree(tmp_path):
  return raw_tree.write_tree(tmp_path / "tree", ROWS, PICTURES)


@pytest.fixture(scope="module")
def load():
  """Loads models once for all tests."""
  return functools.cache(ObjectFinder)


@pytest.fixture
def find(tree, models, tmp_path, monkeypatch, load):
  """Runs the command's work with some settings changed."""
  monkeypatch.setattr(command, "ObjectFinder", load)

  def run(**changes):
    given = {"raw_dir": tree, "out": str(tmp_path / "boxes.json")}
    return produce(Settings(**given | models | changes))

  return run


@pytest.fixture
def passes(monkeypatch):
  """A list that grows with each picture that the detector looks at."""
  seen = []
  forward = transformers.DetrForObjectDetection.forward

  def counted(self, pixel_values, **inputs):
    seen.extend(pixel_values)
    return forward(self, pixel_values, **inputs)

  monkeypatch.setattr(transformers.DetrForObjectDetection, "forward", counted)
  return seen


def read(path):
  return json.loads(pathlib.Path(path).read_text())


def add_picture(tree, name, content):
  path = pathlib.Path(tree) / "img_org" / "train" / name
  path.write_bytes(content)


def add_row(tree, row):
  with open(pathlib.Path(tree) / "txt" / "ours_train.txt", "a") as file:
    file.write(f"{row!r}\n")


def test_a_tree_gives_boxes_of_classes_and_of_its_rows_names(find, tmp_path):
  counts = find()
  found = read(tmp_path / "boxes.json")
  assert list(found) == ["a.jpg", "b.jpg"]
  phrases = {
    name: [*dict.fromkeys(box.get("phrase") for box in listed)]
    for name, listed in found.items()
  }
  # The names of all rows of a picture, in their order.
  assert phrases == {
    "a.jpg": [None, "Bill Cosby", "Hollywood", "Rex"],
    "b.jpg": [None, "Bill Cosby", "Hollywood"],
  }
  listed = [box for some in found.values() for box in some]
  assert counts["grounded boxes"] == sum("phrase" in box for box in listed)
  assert counts["detected boxes"] == sum("label" in box for box in listed)
  assert (counts["names in pictures"], counts["names found"]) == (5, 5)
  assert [*boxes.read_boxes(tmp_path / "boxes.json")] == list(found)


def test_relations_change_nothing(find, tmp_path, monkeypatch):
  asked = []
  make = ObjectFinder.find

  def listening(self, pictures, names):
    asked.extend(names)
    return make(self, pictures, names)

  monkeypatch.setattr(ObjectFinder, "find", listening)
  find()
  none, birth, present = raw_tree.RELATIONS
  other = {none: birth, birth: present, present: none}
  rows = [row | {"relation": other[row["relation"]]} for row in ROWS]
  tree = raw_tree.write_tree(tmp_path / "other", rows, PICTURES)
  find(raw_dir=tree, out=str(tmp_path / "other.json"))
  first, second = (
    (tmp_path / name).read_bytes() for name in ("boxes.json", "other.json")
  )
  assert first == second
  words = {name for names in asked for name in names}
  assert words == {"Bill Cosby", "Hollywood", "Rex"}


def test_no_picture_is_searched_twice(find, tree, tmp_path, passes):
  first = find()
  before = (tmp_path / "boxes.json").read_bytes()
  assert len(passes) == first["searched now"] == 2
  again = find()
  assert len(passes) == again["searched before"] == 2
  assert (tmp_path / "boxes.json").read_bytes() == before
  add_row(tree, raw_tree.row(img_id="c.jpg"))
  assert find()["without a file"] == 1
  add_picture(tree, "c.jpg", raw_tree.jpeg(64, 48, seed=3))
  assert find()["searched now"] == 1
  assert len(passes) == 3
  # Rows name someone else in a picture, and a file is another one.
  add_row(tree, raw_tree.row("Ann in Rome", (0, 1), (2, 3), img_id="c.jpg"))
  add_picture(tree, "b.jpg", raw_tree.jpeg(60, 40, seed=4))
  assert find()["searched now"] == 2
  assert len(passes) == 5
  found = read(tmp_path / "boxes.json")
  assert "Ann" in {box.get("phrase") for box in found["c.jpg"]}
  fresh = str(tmp_path / "fresh.json")
  find(out=fresh)
  assert read(fresh) == found


def test_a_killed_run_ends_as_an_uninterrupted_one(find, models, tmp_path):
  rows = [raw_tree.row(img_id=f"{i}.jpg") for i in range(24)]
  pictures = {
    f"train/{i}.jpg": raw_tree.jpeg(64 + i % 3, 48, seed=i) for i in range(24)
  }
  tree = raw_tree.write_tree(tmp_path / "many", rows, pictures)
  out = tmp_path / "killed.json"
  given = {"raw_dir": tree, "out": str(out), "batch_size": 2, **models}
  before = kills.stop_after_a_batch("objects", given, out)
  counts = find(**given)
  assert counts["searched before"] == 2 * before < 24
  alone = str(tmp_path / "alone.json")
  find(**given | {"out": alone})
  assert out.read_bytes() == pathlib.Path(alone).read_bytes()


def test_the_content_of_a_models_folder_counts(find, tmp_path):
  find()
  other = detectors.write_detector(tmp_path / "other", seed=0)
  with pytest.raises(ValueError, match=f"detector {other} .sha256 .*, got "):
    find(detector=other)
  same = detectors.write_detector(tmp_path / "moved")
  assert find(detector=same, batch_size=2)["searched before"] == 2


def test_files_of_other_origin_are_kept(find, tmp_path):
  (tmp_path / "boxes.json").write_text("mine")
  with pytest.raises(ValueError, match=r"expected boxes.json.journal.jsonl n"):
    find()
  assert (tmp_path / "boxes.json").read_text() == "mine"


def test_pictures_that_cannot_be_read_are_named(find, tree, tmp_path, caplog):
  add_picture(tree, "b.jpg", b"no picture")
  with caplog.at_level(logging.INFO, "ifa_jax"):
    counts = find()
  assert (counts["unreadable"], counts["pictures"]) == (1, 2)
  assert "No boxes of b.jpg: not a picture in" in caplog.text
  assert [*read(tmp_path / "boxes.json")] == ["a.jpg"]
  assert find()["searched now"] == 1


def test_bad_rows_fail_or_are_left_out(find, tree):
  with open(pathlib.Path(tree) / "txt" / "ours_test.txt", "a") as file:
    file.write("nonsense\n")
  with pytest.raises(ValueError, match=r"ours_test.txt:4: not a dict literal"):
    find()
  assert find(on_error="skip")["pictures"] == 2
  with pytest.raises(ValueError, match=r"nowhere: there is no such folder"):
    find(raw_dir="nowhere")


def test_a_limit_reads_the_first_rows(find, tmp_path):
  assert find(limit=1)["pictures"] == 1
  assert [*read(tmp_path / "boxes.json")] == ["a.jpg"]


def test_a_tree_without_pictures_is_refused(find, tmp_path):
  tree = raw_tree.write_tree(tmp_path / "bare", ROWS)
  with pytest.raises(ValueError, match="in img_org, got none of 2"):
    find(raw_dir=tree)


def test_the_result_is_prepared_under_the_protocol_clean(find, tree, tmp_path):
  find()
  prepared, _ = prepare(
    Preparation(
      raw_dir=tree,
      data_dir=str(tmp_path / "data"),
      protocol="clean",
      boxes=str(tmp_path / "boxes.json"),
      tokenizer=raw_tree.write_tokenizer(tmp_path / "tokenizer"),
      image_size=32,
      patch_size=8,
      num_crops=2,
      num_workers=1,
    )
  )
  counts = prepared.metadata["counts"]["train"]
  assert counts["grounded"] == counts["detected"] == 6
  assert counts["missing_grounded"] == 0


def test_the_command_shows_what_it_found(models, tree, tmp_path, capsys):
  out = str(tmp_path / "boxes.json")
  found = produce(Settings(raw_dir=tree, out=out, **models))
  counts.show("Objects", {"": found}, out)
  shown = capsys.readouterr().out
  assert "searched now" in shown
  assert shown.endswith(f"{out}\n")


@pytest.mark.skipif(not MNRE_DIR, reason="set MNRE_DIR to the data/ folder")
def test_on_the_pictures_of_mnre(find, tmp_path):
  counts = find(raw_dir=MNRE_DIR)
  found = boxes.read_boxes(tmp_path / "boxes.json")
  assert len(found) == counts["pictures"] - counts["without a file"] > 0
  assert counts["unreadable"] == 0
  assert counts["detected boxes"] > 0
  assert counts["names found"] > 0
