"""Text files of MNRE: valid rows, and errors that name file and line."""

import json

import pytest
import raw_tree

from ifa_jax.data.mnre import notation
from ifa_jax.data.mnre import tree as raw
from ifa_jax.data.mnre.row import Row, RowError

RELATIONS = list(raw_tree.RELATIONS)
ROW = raw_tree.row()


def read(tmp_path, *rows, **options):
  tree = raw_tree.write_tree(tmp_path, list(rows))
  return list(raw.read_rows(tree, "train", RELATIONS, **options))


def test_a_row_is_read_whole(tmp_path):
  first, second = read(tmp_path, ROW, {**ROW, "img_id": 64738})
  assert first == Row(
    split="train",
    line=1,
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
  "": "not a dict literal: expected a row, got an empty line$",
  " \t ": "not a dict literal: expected a row, got an empty line$",
  "\0": "not a dict literal",
  "{[]: 1}": "not a dict literal",
  "[1, 2]": "not a dict literal: got a list",
  repr(without("t")): "missing key: expected 't', got",
  repr(without("token")): "missing key: expected 'token'",
  repr({**ROW, "h": {"name": "Bill"}}): "missing key: expected 'pos' in 'h'",
  repr({**ROW, "token": "Bill"}): "wrong type: expected a list of words in",
  repr({**ROW, "img_id": True}): "wrong type: expected a file name",
  repr({**ROW, "h": entity("Bill", "0", "1")}): "wrong type: expected a name",
  repr({**ROW, "h": entity("Bill", 0, True)}): "wrong type: expected a name",
  repr({**ROW, "h": entity("Bill", 0)}): "wrong type: expected a name",
  repr({**ROW, "token": []}): "bad token list",
  repr({**ROW, "token": ["a", 3, "b", "c"]}): "bad token list",
  repr(
    {**ROW, "h": entity("x", 3, 9)}
  ): r"bad span: expected 'h' .*pos \[3, 9\)",
  repr({**ROW, "h": entity("", 2, 2)}): "bad span",
  repr({**ROW, "t": entity("x", -2, 1)}): "bad span: expected 't'",
  repr({**ROW, "img_id": None}): "got None; a post without a picture names",
  repr(
    {**ROW, "t": entity("in", 3, 4)}
  ): "name differs from span: expected 't'",
  repr(
    {**ROW, "relation": "/per/per/enemy"}
  ): "unknown relation: expected .*, got '/per/per/en",
  repr({**ROW, "img_id": "../../etc/passwd"}): "img_id leaves the data folder",
  repr({**ROW, "img_id": ""}): "bad img_id: expected the bare .* got '';",
}


@pytest.mark.parametrize("line", BAD, ids=[f"{v[:24]}" for v in BAD.values()])
def test_bad_lines_are_named_by_file_and_line(line, tmp_path):
  with pytest.raises(RowError, match=BAD[line]) as error:
    read(tmp_path, ROW, ROW, line, ROW)
  assert error.value.where == "ours_train.txt:3"
  assert str(error.value).startswith("ours_train.txt:3: ")
  assert len(str(error.value)) < 400
  assert "\n" not in str(error.value)


def test_bytes_that_are_not_text_are_named(tmp_path):
  tree = raw_tree.write_tree(tmp_path, [ROW])
  path = tmp_path / "txt" / "ours_train.txt"
  path.write_bytes(path.read_bytes() + b"{'token': ['\xff']}\n")
  with pytest.raises(RowError, match=r"ours_train\.txt:2: .*utf-8"):
    list(raw.read_rows(tree, "train", RELATIONS))


def test_a_line_without_end_is_refused_and_not_read_to_the_end(tmp_path):
  tree = raw_tree.write_tree(
    tmp_path, [ROW, "x" * (notation.MAX_BYTES + 9), ROW]
  )
  seen = []
  with pytest.raises(RowError, match="longer than"):
    list(raw.read_rows(tree, "train", RELATIONS, on_error=seen.append))
  assert len(seen) == 1


def test_bad_lines_can_be_skipped(tmp_path):
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
  # Later lines are not read.
  assert len(read(tmp_path, ROW, ROW, "[]", limit=2)) == 2


def test_names_may_differ_in_spaces(tmp_path):
  text = raw_tree.row("# Bears in Rome", (0, 2), (3, 4))
  text["h"]["name"] = "#Bears"
  (row,) = read(tmp_path, text)
  assert row.head_name == "#Bears"


def test_an_empty_or_absent_file_is_an_error(tmp_path):
  with pytest.raises(
    ValueError, match=r"ours_train\.txt: expected a row per line"
  ):
    read(tmp_path)
  with pytest.raises(
    ValueError, match=r"expected txt/ours_val\.txt or ours_val\.txt"
  ):
    raw.text_path(str(tmp_path / "nowhere"), "val")


JSON_LINE = json.dumps(
  {**ROW, "token": ["Bill", "\U0001f600", "in", "http://t.co/x"]}
  | {"h": entity("Bill", 0, 1), "t": entity("http://t.co/x", 3, 4)}
).replace("/", "\\/")


@pytest.mark.silent_input
def test_lines_of_json_are_read_as_json(tmp_path):
  assert r"http:\/\/t.co\/x" in JSON_LINE
  assert r"\ud83d\ude00" in JSON_LINE
  for row in read(tmp_path, "", JSON_LINE, JSON_LINE, on_error=lambda _: None):
    assert row.words == ("Bill", "\U0001f600", "in", "http://t.co/x")
    assert row.tail_name == "http://t.co/x"
    assert row.relation == "/per/misc/present_in"


@pytest.mark.silent_input
def test_literals_are_read_as_python_however_they_are_quoted(tmp_path):
  # JSON would refuse the tuple.
  double = str(ROW).replace("'", '"').replace("[0, 2]", "(0, 2)")
  assert double.startswith('{"')
  first, second = read(
    tmp_path,
    double,
    {**ROW, "token": ["Bill", "Cosby"] * 2} | {"t": entity("Cosby", 3, 4)},
  )
  assert (first.head, second.head) == ((0, 2), (0, 2))


OTHER_LANGUAGE = {
  "Python below JSON": (
    [JSON_LINE, repr(ROW)],
    "2: not a JSON object: as line 1 is JSON, .*: column 2",
  ),
  "JSON below Python": (
    [repr(ROW), JSON_LINE],
    r"2: not a dict literal: .*/ is JSON, and line 1 is not: column 48",
  ),
  "null": (
    [repr(ROW), "{'token': ['\u00e9', null]}"],
    "2: not a dict literal: null is not a Python literal: column 17",
  ),
  "a call": (
    ["{'token': f(1)}"],
    "1: not a dict literal: Call is not a Python literal: column 11",
  ),
  "NaN": (
    [json.dumps({**ROW, "score": float("nan")})],
    "1: not a JSON object: .* NaN is no number: column ",
  ),
  "a key twice": (
    [repr(ROW)[:-1] + ", 'relation': 'None'}"],
    "1: repeated key: .*, got 'relation' 2 times",
  ),
  "a key twice inside": (
    [repr(ROW).replace("'pos'", "'pos': [0, 1], 'pos'", 1)],
    "1: repeated key: .*, got 'pos' 2 times",
  ),
  "a key twice in JSON": (
    [JSON_LINE, JSON_LINE[:-1] + ', "h": {}}'],
    "2: repeated key: .*, got 'h' 2 times",
  ),
}


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("rows", "message"), OTHER_LANGUAGE.values(), ids=OTHER_LANGUAGE
)
def test_a_line_in_another_language_than_the_file_is_refused(
  tmp_path, rows, message
):
  with pytest.raises(RowError, match=f"^ours_train.txt:{message}") as error:
    read(tmp_path, *rows)
  assert "object at 0x" not in str(error.value)


@pytest.mark.silent_input
def test_a_byte_order_mark_is_ignored(tmp_path):
  assert read(tmp_path, "\ufeff" + repr(ROW)) == read(tmp_path, ROW)
