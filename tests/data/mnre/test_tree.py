import json

import pytest
import raw_tree

from ifa_jax.data.mnre import row as lines
from ifa_jax.data.mnre import tree as raw
from ifa_jax.data.mnre.row import RowError

RELATIONS = list(raw_tree.RELATIONS)
ROW = raw_tree.row()


def read(tmp_path, *rows, **options):
  tree = raw_tree.write_tree(tmp_path, list(rows))
  return list(raw.read_rows(tree, "train", RELATIONS, **options))


def test_a_row_is_read_whole(tmp_path):
  first, second = read(tmp_path, ROW, {**ROW, "img_id": 64738})
  assert first == lines.Row(
    split="train",
    line=1,
    file="ours_train.txt",
    words=("Bill", "Cosby", "in", "Hollywood"),
    head=(0, 2),
    tail=(3, 4),
    head_name="Bill Cosby",
    tail_name="Hollywood",
    img_id="a.jpg",
    relation="/per/misc/present_in",
  )
  assert (second.id, second.where) == ("train/2", "ours_train.txt:2")
  # MNRE-1 leaves the suffix out.
  assert second.img_id == "64738.jpg"


def without(key):
  return {k: v for k, v in ROW.items() if k != key}


def entity(name, *pos):
  return {"name": name, "pos": list(pos)}


BAD = {
  "{'token': [": "not a dict literal",
  "__import__('os').system('true')": "not a dict literal",
  "(" * 10_000: "not a dict literal",
  "-" * 100_000: "not a dict literal",
  "1+" * 100_000 + "1": "not a dict literal",
  "9" * 5000: "not a dict literal",
  "": "not a dict literal",
  "\0": "not a dict literal",
  "{[]: 1}": "not a dict literal",
  "[1, 2]": "not a dict literal: found a list",
  repr(without("t")): "missing key: wanted 't', found",
  repr(without("token")): "missing key: wanted 'token'",
  repr({**ROW, "h": {"name": "Bill"}}): "missing key: wanted 'pos' in 'h'",
  repr({**ROW, "token": "Bill"}): "wrong type: 'token' is a str",
  repr({**ROW, "img_id": True}): "wrong type: 'img_id' is a bool",
  repr({**ROW, "h": entity("Bill", "0", "1")}): "wrong type: wanted a name",
  repr({**ROW, "h": entity("Bill", 0, True)}): "wrong type: wanted a name",
  repr({**ROW, "h": entity("Bill", 0)}): "wrong type: wanted a name",
  repr({**ROW, "token": []}): "bad token list",
  repr({**ROW, "token": ["a", 3, "b", "c"]}): "bad token list",
  repr({**ROW, "h": entity("x", 3, 9)}): r"bad span: 'h' has pos \[3, 9\)",
  repr({**ROW, "h": entity("", 2, 2)}): "bad span",
  repr({**ROW, "t": entity("x", -2, 1)}): "bad span: 't'",
  repr({**ROW, "t": entity("in", 3, 4)}): "name differs from span: 't'",
  repr({**ROW, "relation": "/per/per/enemy"}): "unknown relation: '/per/per/en",
  repr({**ROW, "img_id": "../../etc/passwd"}): "img_id leaves the data folder",
  repr({**ROW, "img_id": "/etc/hostname.jpg"}): "img_id leaves the data folder",
  repr({**ROW, "img_id": "..\\a.jpg"}): "img_id leaves the data folder",
}


@pytest.mark.parametrize("line", BAD, ids=[f"{v[:24]}" for v in BAD.values()])
def test_bad_lines_are_named_by_file_and_line(line, tmp_path):
  with pytest.raises(RowError, match=BAD[line]) as error:
    read(tmp_path, ROW, ROW, line, ROW)
  assert error.value.where == "ours_train.txt:3"
  assert str(error.value).startswith("ours_train.txt:3: ")
  assert len(str(error.value)) < 400
  assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_named(tmp_path):
  tree = raw_tree.write_tree(tmp_path, [ROW])
  path = tmp_path / "txt" / "ours_train.txt"
  path.write_bytes(path.read_bytes() + b"{'token': ['\xff']}\n")
  with pytest.raises(RowError, match=r"ours_train\.txt:2: .*utf-8"):
    list(raw.read_rows(tree, "train", RELATIONS))


def test_a_line_without_end_is_refused_and_not_read_to_the_end(tmp_path):
  tree = raw_tree.write_tree(tmp_path, [ROW, "x" * (lines.MAX_BYTES + 9), ROW])
  seen = []
  with pytest.raises(RowError, match="longer than"):
    list(raw.read_rows(tree, "train", RELATIONS, on_error=seen.append))
  assert len(seen) == 1


def test_bad_lines_can_be_passed_over(tmp_path):
  errors = []
  rows = read(
    tmp_path, ROW, "[]", {**ROW, "token": []}, ROW, on_error=errors.append
  )
  # Line numbers stay those of the file.
  assert [row.line for row in rows] == [1, 4]
  assert [error.reason for error in errors] == [
    "not a dict literal",
    "bad token list",
  ]


def test_limit_counts_lines(tmp_path):
  assert len(read(tmp_path, ROW, ROW, ROW, limit=2)) == 2
  # What comes behind is not read.
  assert len(read(tmp_path, ROW, ROW, "[]", limit=2)) == 2


def test_names_may_differ_in_spaces(tmp_path):
  text = raw_tree.row("# Bears in Rome", (0, 2), (3, 4))
  text["h"]["name"] = "#Bears"
  (row,) = read(tmp_path, text)
  assert row.head_name == "#Bears"


def test_an_empty_or_absent_file_is_an_error(tmp_path):
  with pytest.raises(ValueError, match=r"ours_train\.txt: no line in it"):
    read(tmp_path)
  with pytest.raises(ValueError, match=r"no txt/ours_val\.txt and no"):
    raw.text_path(str(tmp_path / "nowhere"), "val")


def test_relations_come_in_the_order_of_their_ids(tmp_path):
  tree = raw_tree.write_tree(tmp_path, [ROW], relations=None)
  ids = {"/b": 2, "None": 0, "/a": 1}
  (tmp_path / "ours_rel2id.json").write_text(json.dumps(ids))
  assert raw.read_relations(tree) == ["None", "/a", "/b"]


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("{", "not JSON"),
    ("[]", "wanted one object"),
    ('{"None": 0, "a": 2}', r"wanted the ids 0 to 1, found \[0, 2\]"),
    ('{"None": 0, "a": "1"}', "wanted one object"),
    ('{"None": 1, "a": 0}', "id 0 must be None, found .'a'"),
    ("{}", "found no relation"),
  ],
)
def test_bad_relation_files_are_refused(content, message, tmp_path):
  tree = raw_tree.write_tree(tmp_path, [ROW], relations=None)
  (tmp_path / "ours_rel2id.json").write_text(content)
  with pytest.raises(ValueError, match=message):
    raw.read_relations(tree)


def test_without_a_relation_file_the_names_are_sorted(tmp_path):
  """The layout of MNRE-1: no txt/ folder, no rel2id, `none` in lower case."""
  for split, names in {"train": "ba", "val": ["none"], "test": "c"}.items():
    rows = [repr({**ROW, "relation": name}) for name in names]
    (tmp_path / f"ours_{split}.txt").write_text("\n".join(rows) + "\n")
  tree = str(tmp_path)
  assert raw.read_relations(tree) == ["none", "a", "b", "c"]
  assert len(list(raw.read_rows(tree, "train", ["none", "a", "b", "c"]))) == 2
