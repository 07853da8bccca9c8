"""MORE and UMRE: rows of objects, their boxes, and files that do not fit."""

import object_trees
import pytest
import raw_tree
from format_files import open_reader
from object_trees import ACME, ANN, row, thing

from ifa_jax.data.mnre import crops
from ifa_jax.data.mnre.row import Row, RowError

WRITE = {"more": object_trees.write_more, "umre": object_trees.write_umre}
PICTURES = {"a.jpg": raw_tree.jpeg(80, 40)}
# Of the three objects in the picture of 80 x 40 pixels.
PIXELS = [(0, 10, 40, 30), (50, 0, 70, 20), (0, 17.1, 2.532, 32.9)]


def read(folder, name, rows, objects=None, pictures=PICTURES):
  return open_reader(WRITE[name](folder, rows, objects, pictures), name)


def test_an_object_is_a_word_at_the_end(tmp_path):
  lines = [row(), row(relation="none", tail=thing(2))]
  reader = read(tmp_path, "more", lines)
  first, second = reader.rows("val")
  assert first == Row(
    split="val",
    line=1,
    words=("Ann", "Lee", "joins", "Acme", "[object]"),
    head=(0, 2),
    tail=(4, 5),
    head_name="Ann Lee",
    tail_name="object=[OBJ0]",
    img_id="a.jpg",
    relation="/per/per/self",
    place="valid.txt:1",
  )
  assert (second.relation, second.id) == ("None", "val/2")
  # By the file of relations, although no row has the last.
  assert reader.relations == ["None", "/per/per/self", "/per/misc/awarded"]
  assert reader.describe() == {
    "name": "more",
    "negative": "none",
    "object_word": "[object]",
  }


def test_heads_and_tails_of_umre_are_words_or_objects(tmp_path):
  lines = [
    row(ANN, ACME | {"name": ["Acme"]}),
    row(thing(1), ACME),
    row(thing(2), thing(0)),
  ]
  rows = [*read(tmp_path, "umre", lines).rows("test")]
  spans = [(x.head, x.tail, len(x.words)) for x in rows]
  assert spans == [
    ((0, 2), (3, 4), 4),
    ((4, 5), (3, 4), 5),
    ((4, 5), (5, 6), 6),
  ]
  assert rows[0].tail_name == "Acme"


@pytest.mark.parametrize("name", WRITE)
def test_the_crops_are_the_boxes_in_pixels(name, tmp_path):
  lines = [row(tail=thing(number)) for number in (2, 1)]
  lines += [row(thing(2), thing(0)), row(ANN, ACME)] * (name == "umre")
  reader = read(tmp_path, name, lines)
  rows = [*reader.rows("train")]
  listed = crops.Crops(reader.raw_dir, "clean", reader.boxes)
  expected = [[2], [1], [2, 0], []]
  for found, numbers in zip(rows, expected, strict=False):
    edges = [crop.edges for crop in listed.grounded(found)]
    assert edges == [pytest.approx(PIXELS[i], abs=0.03) for i in numbers]
    assert [x.edges for x in listed.detected(found)] == [
      pytest.approx(x, abs=0.03) for x in PIXELS
    ]


def test_without_a_picture_the_boxes_are_counted(tmp_path):
  reader = read(tmp_path, "more", [row()], pictures={})
  (found,) = reader.rows("train")
  listed = crops.Crops(reader.raw_dir, "clean", reader.boxes)
  assert len(listed.grounded(found)) == 1
  assert len(listed.detected(found)) == 3


@pytest.mark.silent_input
def test_a_text_named_like_an_object_has_no_box(tmp_path):
  lines = [row({"name": "OBJ1", "pos": [0, 1]}, token=["OBJ1", "wins"])]
  reader = read(tmp_path, "more", lines)
  (found,) = reader.rows("train")
  listed = crops.Crops(reader.raw_dir, "clean", reader.boxes)
  assert [x.edges for x in listed.grounded(found)] == [PIXELS[0]]


BOX = (0.5, 0.5, 0.5, 0.5)
BAD_ROWS = {
  r"unknown relation: expected one of the 3 .*'self'": row(relation="self"),
  r"unknown object: expected .*'\[OBJ0\]'.* in 't', got '\[OBJ3\]'": row(
    tail=thing(3)
  ),
  r"unknown object: .* in 't', got None": row(tail={"pos": [1, 2, 3, 4]}),
  r"bad objects: expected .* of 'b\.jpg' in .*ent_train.* got None": row(
    img_id="b.jpg"
  ),
  r"wrong type: expected a name and a pos of two .* in 'h'": row(
    ANN | {"pos": [0, 1, 2]}
  ),
  r"bad span: expected 'h'": row(ANN | {"pos": [3, 5]}),
  r"name differs from span: expected 'h'": row(ANN | {"pos": [0, 1]}),
  r"img_id leaves the data folder": row(img_id="../a.jpg"),
  r"missing key: expected 't'": {k: v for k, v in row().items() if k != "t"},
}


@pytest.mark.parametrize("message", BAD_ROWS)
def test_bad_rows_are_named_by_file_and_line(message, tmp_path):
  reader = read(tmp_path, "more", [row(), BAD_ROWS[message]])
  with pytest.raises(RowError, match=f"train.txt:2: {message}"):
    [*reader.rows("train")]


def test_a_position_of_umre_is_of_words_or_of_edges(tmp_path):
  reader = read(tmp_path, "umre", [row(ANN | {"pos": [0, 1, 2]})])
  with pytest.raises(RowError, match=r"train_set\.json:1: .*2 words or of 4 e"):
    [*reader.rows("train")]


BAD_OBJECTS = {
  r"box 1: expected fractions .*from 0 to 1, got": {"b": (0.9, 0.5, 0.5, 0.5)},
  r"box 1: expected four finite numbers": {"b": BOX[:3]},
  r"box 1: expected x0 < x1 and y0 < y1": {"b": (0.5, 0.5, 0, 0.5)},
  r"expected names that differ in letters or digits": {"[obj0]": BOX},
  r"expected an object of names to boxes": {3: BOX},
}


@pytest.mark.silent_input
@pytest.mark.parametrize("message", BAD_OBJECTS)
def test_objects_that_would_be_cut_elsewhere(message, tmp_path):
  objects = {"a.jpg": {"[OBJ0]": BOX} | BAD_OBJECTS[message]}
  reader = read(tmp_path, "more", [row()], objects)
  with pytest.raises(RowError, match=f"train.txt:1: bad objects: .*{message}"):
    [*reader.rows("train")]


@pytest.mark.silent_input
def test_centres_are_no_boxes_of_umre(tmp_path):
  objects = {"a.jpg": {"[OBJ0]": (0.5558, 0.6375, 0.1083, 0.35)}}
  reader = read(tmp_path, "umre", [row()], objects)
  with pytest.raises(RowError, match="box 0: expected x0 < x1 and y0 < y1"):
    [*reader.rows("train")]


@pytest.mark.silent_input
def test_splits_agree_on_the_objects_of_a_picture(tmp_path):
  folder = object_trees.write_more(tmp_path, [row()], None, PICTURES)
  other = raw_tree.torch_pickle({"a.jpg": {"[OBJ0]": BOX}})
  (tmp_path / "ent_test_dict.pth").write_bytes(other)
  reader = open_reader(folder, "more")
  [*reader.rows("train")]
  with pytest.raises(RowError, match=r"test\.txt:1: bad boxes: .* earlier row"):
    [*reader.rows("test")]


LISTS = {
  r"pos_umke\.json: expected an object": "[]",
  r"pos_umke\.json: .*'\[OBJ0\]'": '{"a.jpg": {"[OBJ0]": 1, "[OBJ0]": 2}}',
}


@pytest.mark.parametrize("message", LISTS)
def test_lists_that_hold_something_else(message, tmp_path):
  folder = object_trees.write_umre(tmp_path, [row()])
  (tmp_path / "umke_partner/pos_umke.json").write_text(LISTS[message])
  with pytest.raises(ValueError, match=message):
    open_reader(folder, "umre")


def test_a_missing_file_is_named(tmp_path):
  folder = object_trees.write_umre(tmp_path, [row()])
  (tmp_path / "rel2id_umke_partner.json").unlink()
  with pytest.raises(ValueError, match="expected rel2id_umke_part"):
    open_reader(folder, "umre")
