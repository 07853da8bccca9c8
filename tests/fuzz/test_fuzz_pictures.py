"""Any bytes as a picture, and names that lead out of the folder of the data."""

import io
import os
import shutil

import fuzzing
import numpy as np
import pytest
import raw_tree
from hypothesis import strategies as st
from PIL import Image

from ifa_jax.data import schema
from ifa_jax.data.images import decode
from ifa_jax.data.mnre import crops
from ifa_jax.data.mnre import tree as raw
from ifa_jax.data.mnre.row import RowError

ROW = raw_tree.row()
RELATIONS = list(raw_tree.RELATIONS)


def sound_files():
  picture = Image.fromarray(
    np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
  )
  for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"):
    file = io.BytesIO()
    picture.save(file, kind)
    yield file.getvalue()


def test_any_bytes_are_pixels_or_an_error(tmp_path, thorough):
  path = tmp_path / "a.jpg"
  opened = []

  def body(content):
    path.write_bytes(content)
    found = fuzzing.read(
      lambda: decode.open_picture(str(path)), tmp_path, "a.jpg"
    )
    if isinstance(found, Exception):
      return
    opened.append(found)
    assert found.mode == "RGB"
    assert decode.fit(found, 8).shape == (8, 8, 3)

  damaged = [fuzzing.damaged(sound) for sound in sound_files()]
  contents = st.one_of(st.binary(max_size=99), *damaged)
  fuzzing.check(body, contents, thorough=thorough, few=150)
  assert opened


def test_a_pipe_is_not_waited_for(tmp_path):
  os.mkfifo(tmp_path / "a.jpg")
  for path in (tmp_path / "a.jpg", tmp_path):
    with pytest.raises(ValueError, match="expected a file, got a folder"):
      decode.open_picture(str(path))


@pytest.fixture
def tree(tmp_path):
  """A tree with a secret next to it."""
  (tmp_path / "secret.jpg").write_bytes(raw_tree.jpeg())
  names = {"train/a.jpg": raw_tree.jpeg()}
  return raw_tree.write_tree(tmp_path / "tree", [ROW], names)


def find(tree, img_id="a.jpg"):
  row = raw_tree.row(img_id=img_id)
  (tree_path,) = [raw_tree.write_tree(tree, [row])]
  (found,) = raw.read_rows(tree_path, "train", RELATIONS)
  return crops.Pictures(tree_path).find(found)


OUT = [
  "../secret.jpg",
  "../../secret.jpg",
  "/etc/hostname",
  "a/../../secret.jpg",
]
OUT += ["..", ".", "", "a\0.jpg", "..\\secret.jpg", "\ud83d.jpg"]


@pytest.mark.parametrize("img_id", OUT)
def test_no_name_leads_out_of_the_tree(tree, img_id):
  named = img_id not in ("", "\ud83d.jpg")
  message = "img_id leaves the data folder" if named else "bad img_id"
  with pytest.raises(RowError, match=message):
    find(tree, img_id)


def detected(tree, name):
  """Returns the path of a crop that a tree's list names."""
  pickled = raw_tree.torch_pickle({"a": [name]})
  files = {
    f"img_detect/{split}/{split}_img2crop.pth": pickled
    for split in schema.SPLITS
  }
  raw_tree.write_tree(tree, [ROW], files=files)
  (row,) = raw.read_rows(tree, "train", RELATIONS)
  (crop,) = crops.Crops(tree, "none").detected(row)
  return crop.path


@pytest.mark.parametrize("name", OUT)
def test_no_crop_leads_out_of_the_tree(tree, name):
  if name in (".", "..\\secret.jpg"):
    name = f"../{name}"
  with pytest.raises(RowError, match="crop name leaves the data folder"):
    detected(tree, name)
  assert detected(tree, "b/c.jpg") == os.path.join(tree, "b", "c.jpg")


def test_links_of_files_do_not_lead_out_of_the_tree(tree, tmp_path):
  path = os.path.join(tree, "img_org", "train", "a.jpg")
  shutil.move(path, os.path.join(tree, "img_org", "b.jpg"))
  os.symlink(os.path.join("..", "b.jpg"), path)
  assert find(tree) == path
  os.remove(path)
  os.symlink(tmp_path / "secret.jpg", path)
  with pytest.raises(RowError, match=r"link leaves the data folder.*secret"):
    find(tree)


def test_folders_may_lie_elsewhere(tree, tmp_path):
  """The author of a tree may link its folders."""
  folder = os.path.join(tree, "img_org")
  shutil.move(folder, tmp_path / "pictures")
  os.symlink(tmp_path / "pictures", folder)
  assert find(tree) == os.path.join(folder, "train", "a.jpg")
