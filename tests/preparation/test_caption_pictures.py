"""Captions of a tree and of a folder: interrupted, extended, refused runs."""

import functools
import json
import logging
import pathlib

import captioners
import command_lines
import pytest
import raw_tree

from ifa_jax.data.images import decode
from ifa_jax.detection.captioner import Captioner
from ifa_jax.preparation.captions import command
from ifa_jax.preparation.captions.command import Settings, produce

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  return captioners.write_blip(tmp_path_factory.mktemp("models") / "blip")


@pytest.fixture
def images(tmp_path):
  """A folder of pictures of two sizes, and one hidden file."""
  folder = tmp_path / "images"
  folder.mkdir()
  for i in range(5):
    content = raw_tree.jpeg(64 + 8 * (i % 2), 48, seed=i)
    (folder / f"{'cabed'[i]}.jpg").write_bytes(content)
  (folder / ".DS_Store").write_bytes(b"")
  return folder


@pytest.fixture(scope="module")
def load():
  """Loads models once for all tests."""
  return functools.cache(Captioner)


@pytest.fixture
def describe(images, model, tmp_path, monkeypatch, load):
  """Runs the command's work with some settings changed."""
  monkeypatch.setattr(command.captioner, "Captioner", load)

  def run(**changes):
    given = {"images": str(images), "captions": str(tmp_path / "c.json")}
    given |= {"model": model, "max_tokens": 6}
    return produce(Settings(**given | changes))

  return run


def read(path):
  return json.loads(pathlib.Path(path).read_text())


def test_a_folder_gives_a_caption_of_each_picture(
  describe, images, model, tmp_path
):
  counts = describe(batch_size=2)
  found = read(tmp_path / "c.json")
  paths = sorted(images.glob("*.jpg"))
  expected = Captioner(model, max_tokens=6).caption(
    [decode.open_picture(path) for path in paths]
  )
  assert found == dict(
    zip([path.name for path in paths], expected, strict=True)
  )
  assert [*found] == sorted(found)
  assert len({*expected}) > 1
  assert (counts["pictures"], counts["described now"]) == (5, 5)
  assert counts["words"] == sum(len(text.split()) for text in expected)


def test_a_tree_gives_captions_that_no_row_changes(
  describe, images, tmp_path, caplog
):
  pictures = {
    f"{split}/{name}.jpg": (images / f"{name}.jpg").read_bytes()
    for split, name in (("val", "b"), ("train", "a"))
  }
  rows = [raw_tree.row(img_id=f"{name}.jpg") for name in "bac"]
  tree = raw_tree.write_tree(tmp_path / "tree", rows, pictures)
  with caplog.at_level(logging.INFO, "ifa_jax"):
    counts = describe(images=None, raw_dir=tree)
  assert "2 of 3 pictures found" in caplog.text
  assert (counts["pictures"], counts["without a file"]) == (3, 1)
  found = read(tmp_path / "c.json")
  assert [*found] == ["a.jpg", "b.jpg"]
  describe(captions=str(tmp_path / "folder.json"))
  of_folder = read(tmp_path / "folder.json")
  assert found == {name: of_folder[name] for name in found}
  # Other names and relations need no picture again.
  none, *_ = raw_tree.RELATIONS
  other = raw_tree.row("Ann in Rome", (0, 1), (2, 3), "a.jpg", none)
  raw_tree.write_tree(tree, [*rows, other])
  assert describe(images=None, raw_dir=tree)["described now"] == 0


def test_a_limit_reads_the_first_pictures(describe, tmp_path):
  assert describe(limit=2)["pictures"] == 2
  assert [*read(tmp_path / "c.json")] == ["a.jpg", "b.jpg"]


def test_no_picture_is_described_twice(describe, images, tmp_path):
  describe()
  assert describe()["described now"] == 0
  (images / "f.jpg").write_bytes(raw_tree.jpeg(64, 48, seed=9))
  (images / "a.jpg").write_bytes(raw_tree.jpeg(60, 40, seed=8))
  assert describe()["described now"] == 2
  describe(captions=str(tmp_path / "fresh.json"))
  assert read(tmp_path / "c.json") == read(tmp_path / "fresh.json")


def test_a_run_that_is_stopped_ends_as_an_uninterrupted_one(
  describe, tmp_path, monkeypatch
):
  caption, calls = Captioner.caption, []

  def stopping(self, *args):
    calls.append(args)
    if len(calls) == 2:
      raise RuntimeError("stop")
    return caption(self, *args)

  with monkeypatch.context() as patched:
    patched.setattr(Captioner, "caption", stopping)
    with pytest.raises(RuntimeError, match="stop"):
      describe(batch_size=2)
  assert not (tmp_path / "c.json").exists()
  counts = describe(batch_size=2)
  assert (counts["described before"], counts["described now"]) == (2, 3)
  describe(batch_size=2, captions=str(tmp_path / "whole.json"))
  whole = (tmp_path / "whole.json").read_bytes()
  assert (tmp_path / "c.json").read_bytes() == whole


def test_the_command_names_what_is_missing(tmp_path):
  line = ["data_prep/captions.py", "--captions=c.json", "--model=m"]
  (found,) = command_lines.run_all({"x": line}, cwd=tmp_path).values()
  assert found.status == 1
  assert "got neither" in found.err


def test_other_settings_and_models_are_refused(describe, tmp_path):
  describe()
  before = (tmp_path / "c.json").read_bytes()
  other = captioners.write_encoder_decoder(tmp_path / "other")
  for changes, message in (
    ({"max_tokens": 7}, "c.json.journal.jsonl: expected max_tokens 7, got 6"),
    ({"prompt": "a photo"}, "expected prompt 'a photo', got None"),
    ({"dtype": "bfloat16"}, "expected dtype 'bfloat16', got 'float32'"),
    ({"model": other}, f"model {other} .sha256 .*, got "),
  ):
    with pytest.raises(ValueError, match=message):
      describe(**changes)
    assert (tmp_path / "c.json").read_bytes() == before


def test_pictures_that_cannot_be_read_are_named(
  describe, images, tmp_path, caplog
):
  (images / "b.jpg").write_bytes(b"no picture")
  with caplog.at_level(logging.INFO, "ifa_jax"):
    counts = describe()
  assert (counts["unreadable"], counts["pictures"]) == (1, 5)
  assert "No caption of b.jpg: not a picture in" in caplog.text
  assert "b.jpg" not in read(tmp_path / "c.json")
  assert describe()["described now"] == 1


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"raw_dir": "tree"}, "one of --raw_dir and --images, got both"),
    ({"images": None}, "one of --raw_dir and --images, got neither"),
    ({"images": "nowhere"}, "nowhere: there is no such folder"),
    ({"images": None, "raw_dir": "nowhere"}, "nowhere: there is no such fol"),
  ],
)
def test_one_source_of_pictures(describe, changes, message):
  with pytest.raises(ValueError, match=message):
    describe(**changes)


def test_other_files_are_kept(describe, tmp_path):
  (tmp_path / "empty").mkdir()
  with pytest.raises(ValueError, match="empty: expected pictures, got no file"):
    describe(images=str(tmp_path / "empty"))
  (tmp_path / "c.json").write_text("mine")
  with pytest.raises(ValueError, match=r"expected c.json.journal.jsonl next"):
    describe()
  assert (tmp_path / "c.json").read_text() == "mine"
