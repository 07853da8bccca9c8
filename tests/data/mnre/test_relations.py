"""Relations of a tree of MNRE: their ids, their order and their spellings."""

import json

import pytest
import raw_tree

from ifa_jax.data.mnre import tree as raw
from ifa_jax.data.mnre.row import RowError

ROW = raw_tree.row()


def test_relations_come_in_the_order_of_their_ids(tmp_path):
  tree = raw_tree.write_tree(tmp_path, [ROW], relations=None)
  ids = {"/b": 2, "None": 0, "/a": 1}
  (tmp_path / "ours_rel2id.json").write_text(json.dumps(ids))
  assert raw.read_relations(tree) == ["None", "/a", "/b"]


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("{", "not JSON"),
    ("[]", "expected one object"),
    ('{"None": 0, "a": 2}', r"expected the ids 0 to 1, got \[0, 2\]"),
    ('{"None": 0, "a": "1"}', "expected one object"),
    ('{"None": 1, "a": 0}', "the relation None with id 0, got .'a'"),
    ("{}", "got no relation"),
    ('{"None": 0, "m": 1, "m": 2}', "each key of an object once, got 'm' 2"),
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


ALIKE = {
  "none": ("None", "none"),
  "capitals": ("None", "NONE"),
  "space at the end": ("m", "m "),
  "two spaces": ("m n", "m  n"),
  "composition": ("caf\u00e9", "cafe\u0301"),
  "variation": ("m", "m\ufe0f"),
  "spaces around none": ("None", " none"),
}


@pytest.mark.silent_input
@pytest.mark.parametrize("has_file", [True, False], ids=["file", "no file"])
@pytest.mark.parametrize("names", ALIKE.values(), ids=ALIKE)
def test_two_spellings_of_a_relation_are_refused(tmp_path, names, has_file):
  every = tuple(dict.fromkeys(["None", *names, "/a"]))
  rows = [{**ROW, "relation": name} for name in every]
  tree = raw_tree.write_tree(
    tmp_path, rows, relations=every if has_file else None
  )
  with pytest.raises(ValueError, match="one spelling of each") as error:
    raw.read_relations(tree)
  assert all(repr(name) in str(error.value) for name in names)


def test_distinguishable_names_are_different_relations(tmp_path):
  names = ["None", "/a/b", "/a/B", "/ab", "nonesuch"]
  tree = raw_tree.write_tree(tmp_path, [ROW], relations=names)
  assert raw.read_relations(tree) == names


@pytest.mark.silent_input
@pytest.mark.parametrize("name", ["none", "/per/misc/present_in "])
def test_another_spelling_of_a_relation_is_hinted_at(tmp_path, name):
  spelled = {"none": "None"}.get(name, name.strip())
  tree = raw_tree.write_tree(tmp_path, [{**ROW, "relation": name}])
  with pytest.raises(RowError, match=f"which spell it '{spelled}'"):
    list(raw.read_rows(tree, "train", list(raw_tree.RELATIONS)))
