"""Crops by protocol, boxes files, and the search for pictures."""

import pathlib

import pytest
import raw_tree
from raw_tree import box, write_boxes

from ifa_jax.data.images import boxes
from ifa_jax.data.mnre import crops
from ifa_jax.data.mnre import tree as raw
from ifa_jax.data.mnre.row import RowError

ROW = raw_tree.row()


def first_row(tree, split="train"):
  return next(raw.read_rows(tree, split, None))


def released(tmp_path, listed, split="train", name="train"):
  """A tree whose dictionaries list two crops, but for one split."""
  files = {
    f"txt/mre_{s}_dict.pth": raw_tree.torch_pickle({0: ["x.jpg", "y.jpg"]})
    for s in ("train", "val", "test")
    if s != split
  }
  files[f"txt/mre_{name}_dict.pth"] = raw_tree.torch_pickle(listed)
  return raw_tree.write_tree(tmp_path, [ROW], files=files)


def test_released_lists_the_dictionary_by_line(tmp_path):
  tree = released(tmp_path, {0: ["a_0.jpg", "a_1.jpg"]})
  listed = crops.Crops(tree, "released").grounded(first_row(tree))
  folder = tmp_path / "img_vg" / "train" / "crops"
  assert [crop.path for crop in listed] == [
    str(folder / "a_0.jpg"),
    str(folder / "a_1.jpg"),
  ]
  assert crops.Crops(tree, "released").detected(first_row(tree)) == []


def test_val_may_be_called_dev(tmp_path):
  tree = released(tmp_path, {0: ["z.jpg"]}, split="val", name="dev")
  (tmp_path / "img_vg" / "dev" / "crops").mkdir(parents=True)
  (crop,) = crops.Crops(tree, "released").grounded(first_row(tree, "val"))
  assert crop.path.endswith("img_vg/dev/crops/z.jpg")


@pytest.mark.parametrize(
  ("listed", "message"),
  [
    ([1, 2], "got a list"),
    ({"0": ["a.jpg"]}, "expected int keys and lists of names, got '0'"),
    ({0: "a.jpg"}, "expected int keys"),
    ({0: [1]}, "expected int keys"),
  ],
)
def test_a_malformed_dictionary_is_refused(listed, message, tmp_path):
  tree = released(tmp_path, listed)
  with pytest.raises(ValueError, match=message) as error:
    crops.Crops(tree, "released")
  assert "mre_train_dict.pth" in str(error.value)


def test_a_row_without_an_entry_is_an_error(tmp_path):
  tree = released(tmp_path, {5: ["a.jpg"]})
  with pytest.raises(RowError, match=r"no crop list: mre_train_dict\.pth"):
    crops.Crops(tree, "released").grounded(first_row(tree))


@pytest.mark.silent_input
@pytest.mark.parametrize("num", [1, 3])
def test_a_released_list_has_an_entry_for_each_line(num, tmp_path):
  listed = dict.fromkeys(range(num), ())
  tree = released(tmp_path, listed)
  text = tmp_path / "txt" / "ours_train.txt"
  # An empty line at the end is no row.
  text.write_text(f"{ROW!r}\n{ROW!r}\n\n")
  message = (
    r"^mre_train_dict\.pth: expected an entry for each of the 2 lines of"
    rf" ours_train\.txt, got {num}$"
  )
  with pytest.raises(ValueError, match=message):
    crops.Crops(tree, "released")
  assert crops.Crops(tree, "released", limit=1).grounded(first_row(tree)) == []
  text.write_text(f"{ROW!r}\n" * num + "\n")
  assert crops.Crops(tree, "released").grounded(first_row(tree)) == []


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "..", "a\0b"])
def test_crop_names_stay_in_their_folder(name, tmp_path):
  tree = released(tmp_path, {0: [name]})
  with pytest.raises(RowError, match="crop name leaves the data folder"):
    crops.Crops(tree, "released").grounded(first_row(tree))


def test_a_crop_has_a_name(tmp_path):
  tree = released(tmp_path, {0: [""]})
  with pytest.raises(RowError, match=r"bad crop name: expected .*, got ''"):
    crops.Crops(tree, "released").grounded(first_row(tree))


def test_released_without_dictionaries_names_the_missing_file(tmp_path):
  tree = raw_tree.write_tree(tmp_path, [ROW])
  with pytest.raises(ValueError, match=r"needs txt/mre_train_dict\.pth"):
    crops.Crops(tree, "released")


def detected_tree(tmp_path, listed):
  files = {"img_detect/train/train_img2crop.pth": raw_tree.torch_pickle(listed)}
  return raw_tree.write_tree(tmp_path, [ROW], files=files)


def test_detected_crops_are_found_by_the_stem(tmp_path):
  tree = detected_tree(tmp_path, {"a": ["img_detect/train/crops/a_0.jpg"]})
  source = crops.Crops(tree, "none")
  (crop,) = source.detected(first_row(tree))
  assert crop.path == str(tmp_path / "img_detect/train/crops/a_0.jpg")
  assert source.grounded(first_row(tree)) == []
  # The other splits have no list, and so no crop.
  assert source.detected(first_row(tree, "test")) == []
  assert [pathlib.Path(f).name for f in source.files] == ["train_img2crop.pth"]


LISTED = {
  "a.jpg": [
    box(0, 0, 9, 9, score=0.1, phrase="Hollywood"),
    box(0, 0, 2, 2, score=0.2),
    box(0, 0, 3, 3, score=0.3, phrase="Bill Cosby"),
    box(0, 0, 4, 4, score=0.9, phrase="Hollywood"),
    box(0, 0, 5, 5, score=0.4, phrase="Bill Cosby"),
    box(0, 0, 6, 6, score=0.95, phrase="Bill"),
    box(0, 0, 7, 7, score=0.7),
  ]
}


def widths(listed):
  return [crop.edges[2] for crop in listed]


def test_clean_takes_the_best_of_head_and_tail_then_the_others(tmp_path):
  tree = raw_tree.write_tree(tmp_path, [ROW])
  listed = boxes.read_boxes(write_boxes(tmp_path, LISTED))
  source = crops.Crops(tree, "clean", listed)
  assert widths(source.grounded(first_row(tree))) == [5, 4, 3, 9]
  assert widths(source.detected(first_row(tree))) == [7, 2]
  for protocol, grounded in (("none", []), ("clean", [5, 4, 3, 9])):
    source = crops.Crops(tree, protocol, listed)
    assert widths(source.grounded(first_row(tree))) == grounded


def test_clean_does_not_read_the_relation(tmp_path):
  """The same post under each label has the same crops."""
  listed = boxes.read_boxes(write_boxes(tmp_path, LISTED))
  rows = [{**ROW, "relation": name} for name in raw_tree.RELATIONS]
  tree = raw_tree.write_tree(tmp_path, rows)
  source = crops.Crops(tree, "clean", listed)
  found = [source.grounded(r) for r in raw.read_rows(tree, "train", None)]
  assert found[0] == found[1] == found[2]


def test_equal_names_share_their_boxes(tmp_path):
  row = raw_tree.row("Rome in Rome", (0, 1), (2, 3))
  tree = raw_tree.write_tree(tmp_path, [row])
  listed = {"a.jpg": [box(0, 0, 9, 9, phrase="Rome")]}
  source = crops.Crops(
    tree, "clean", boxes.read_boxes(write_boxes(tmp_path, listed))
  )
  assert len(source.grounded(first_row(tree))) == 1


def test_clean_without_boxes_names_the_command_that_makes_them(tmp_path):
  tree = raw_tree.write_tree(tmp_path, [ROW])
  with pytest.raises(ValueError, match=r"--boxes \(data_prep\.objects makes"):
    crops.Crops(tree, "clean")


def test_pictures_are_searched_in_every_split(tmp_path):
  one, other = raw_tree.jpeg(seed=1), raw_tree.jpeg(seed=2)
  tree = raw_tree.write_tree(
    tmp_path,
    [raw_tree.row(img_id=f"{name}.jpg") for name in ("own", "far", "no")],
    pictures={"train/own.jpg": one, "test/far.jpg": other},
  )
  own, far, no = raw.read_rows(tree, "train", None)
  pictures = crops.Pictures(tree)
  assert pictures.find(own).endswith("train/own.jpg")
  assert pictures.find(far).endswith("test/far.jpg")
  assert pictures.find(no) is None


def test_one_name_with_different_bytes_is_an_error(tmp_path):
  one, other = raw_tree.jpeg(seed=1), raw_tree.jpeg(seed=2)
  same = {"train/a.jpg": one, "test/a.jpg": one}
  tree = raw_tree.write_tree(tmp_path, [ROW], pictures=same)
  # Copies do no harm; the split's own folder comes first.
  found = crops.Pictures(tree).find(first_row(tree, "test"))
  assert found.endswith("test/a.jpg")
  (tmp_path / "img_org/test/a.jpg").write_bytes(other)
  with pytest.raises(RowError, match="duplicate picture: ") as error:
    crops.Pictures(tree).find(first_row(tree, "test"))
  assert "train/a.jpg" in str(error.value)
  assert "test/a.jpg" in str(error.value)


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("img_id", "file", "named"),
  [
    ("a.tif", "a.tif", "a.tif"),
    ("a.avif", "a.avif", "a.avif"),
    ("a.jfif", "a.jfif", "a.jfif"),
    ("a.HEIC", "a.HEIC", "a.HEIC"),
    ("a.TIFF", "a.TIFF", "a.TIFF"),
    ("64738", "64738.jpg", "64738.jpg"),
    (64738, "64738.jpg", "64738.jpg"),
    # No suffix that is known: the file that is there.
    ("a.v2", "a.v2.jpg", "a.v2.jpg"),
    ("a.xyz", "a.xyz", "a.xyz.jpg"),
    ("64738", "64738", "64738.jpg"),
  ],
)
def test_the_picture_that_is_there_is_found(img_id, file, named, tmp_path):
  row = raw_tree.row(img_id=img_id)
  pictures = {f"train/{file}": raw_tree.jpeg()}
  tree = raw_tree.write_tree(tmp_path, [row], pictures=pictures)
  found = first_row(tree)
  assert found.img_id == named
  assert crops.Pictures(tree).find(found).endswith(f"train/{file}")


@pytest.mark.silent_input
def test_a_name_with_a_suffix_is_preferred(tmp_path):
  pictures = {"test/a.jpg": raw_tree.jpeg(seed=1), "train/a": b"no picture"}
  tree = raw_tree.write_tree(tmp_path, [ROW], pictures=pictures)
  assert crops.Pictures(tree).find(first_row(tree)).endswith("test/a.jpg")
  (tmp_path / "img_org/test/a.jpg").unlink()
  (tmp_path / "img_org/train/a").unlink()
  (tmp_path / "img_org/train/a").mkdir()
  assert crops.Pictures(tree).find(first_row(tree)) is None
