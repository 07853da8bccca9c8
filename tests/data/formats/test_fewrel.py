"""FewRel's files: mentions, files of splits, and rows divided at random."""

import collections
import json

import pytest
from format_files import NO_FILES, few, open_reader

from ifa_jax.data.formats import fewrel
from ifa_jax.data.mnre.row import Row, RowError

GOOD = few("Rome is in Italy", [0], [3])


def write(folder, content, name="a.json"):
  (folder / name).write_text(json.dumps(content))
  return NO_FILES | {"train": [name]}


def of_splits(folder, content):
  """Writes a file of each split with the same rows; returns their names."""
  names = {"train": "b.json", "val": "c.json", "test": "a.json"}
  return {x: write(folder, content, y)["train"] for x, y in names.items()}


def read(folder, content):
  files = of_splits(folder, content)
  return [*open_reader(folder, "fewrel", files).rows("test")]


def test_rows_are_read_in_the_order_of_the_file(tmp_path):
  several = few("New York is in New York state", [0, 1], [4, 5, 6])
  several["h"][2] += [[4, 5]]
  first, second = read(tmp_path, {"P17": [GOOD], "P131": [several]})
  assert first == Row(
    split="test",
    line=1,
    words=("Rome", "is", "in", "Italy"),
    head=(0, 1),
    tail=(3, 4),
    head_name="Rome",
    tail_name="Italy",
    img_id="",
    relation="P17",
    place="a.json: 'P17', row 1",
  )
  # The first mention.
  assert (second.head, second.tail, second.line) == ((0, 2), (4, 7), 2)


BAD = {
  "missing key: expected an object of tokens, h, t": {"tokens": ["a"]},
  "bad token list": GOOD | {"tokens": [1]},
  "wrong type: expected a name, an id and lists .* in 'h'": GOOD
  | {"h": ["rome", "Q1", []]},
  "wrong type: .* in 't'": GOOD | {"t": ["italy", "Q1"]},
  r"bad span: expected consecutive .* in 'h', got \[0, 2\]": few(
    "Rome is in Italy", [0, 2], [3]
  ),
  r"consecutive .*got \['0'\]": GOOD | {"h": ["rome", "Q1", [["0"]]]},
  r"bad span: expected indices of the 4 words, from 0, .*got \[4\]": few(
    "Rome is in Italy", [0], [4]
  ),
  r"indices of the 4 words.*got \[-1\]": GOOD | {"h": ["italy", "Q1", [[-1]]]},
  r"name differs .*'t' to be named 'in', as its words \[2\], got 'italy'": few(
    "Rome is in Italy", [0], [2], ["rome", "italy"]
  ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_rows_are_named_by_relation_and_number(message, tmp_path):
  with pytest.raises(RowError, match=message) as error:
    read(tmp_path, {"P1": [GOOD], "P17": [GOOD, BAD[message]]})
  assert str(error.value).startswith("a.json: 'P17', row 2: ")


@pytest.mark.parametrize("content", [[], {"P17": GOOD}, {"P17": 3}])
def test_other_json_is_refused(content, tmp_path):
  with pytest.raises(ValueError, match=r"b\.json: expected an object of rel"):
    read(tmp_path, content)


def test_rows_are_divided_once_and_for_all(tmp_path):
  rows = {
    name: [few(f"{name}{i} is in Italy", [0], [3]) for i in range(100)]
    for name in "ab"
  }
  reader = open_reader(tmp_path, "fewrel", write(tmp_path, rows), (80, 10, 10))
  found = {x: [*reader.rows(x)] for x in ("train", "val", "test")}
  assert [len(x) for x in found.values()] == [160, 20, 20]
  lines = [row.line for x in found.values() for row in x]
  assert sorted(lines) == [*range(1, 201)]
  for listed in found.values():
    assert listed == sorted(listed, key=lambda row: row.line)
    assert {row.relation for row in listed} == {"a", "b"}
  assert [row.line for row in found["test"]][:5] == [18, 29, 30, 50, 56]
  described = {
    "name": "fewrel",
    "train_files": ["a.json"],
    "val_files": [],
    "test_files": [],
    "split": [80, 10, 10],
    "seed": 0,
  }
  assert reader.describe() == described


@pytest.mark.parametrize("form", ["./{}", "{folder}/{}", "../raw/{}"])
@pytest.mark.parametrize("relative", [True, False])
def test_a_file_may_be_any_path_to_it(form, relative, tmp_path, monkeypatch):
  folder = tmp_path / "raw"
  folder.mkdir()
  files = of_splits(folder, {"P17": [GOOD]})
  monkeypatch.chdir(tmp_path)
  given = {
    split: [form.format(*names, folder=folder)]
    for split, names in files.items()
  }
  reader = open_reader("raw" if relative else folder, "fewrel", given)
  assert [row.relation for row in reader.rows("train")] == ["P17"]
  assert reader.describe() == {"name": "fewrel"} | {
    f"{split}_files": names for split, names in files.items()
  }


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("changes", "shares", "message"),
  [
    ({"train": ["b.json", "./b.json"]}, (), "--train_files: .*b.json, twice$"),
    (
      {"test": ["{folder}/b.json"]},
      (),
      "--test_files: .* once, got .*b.json, which --train_files names as well$",
    ),
    ({"test": ["linked.json"]}, (), "got linked.json, which --train_files"),
    (
      {"train": ["b.json", "b.json"], "val": [], "test": []},
      (80, 10, 10),
      "--train_files: expected each file once, got b.json, twice$",
    ),
  ],
)
def test_a_file_named_twice_is_refused(changes, shares, message, tmp_path):
  files = of_splits(tmp_path, {"P17": [GOOD]})
  (tmp_path / "linked.json").symlink_to(tmp_path / "b.json")
  files |= {
    split: [name.format(folder=tmp_path) for name in names]
    for split, names in changes.items()
  }
  with pytest.raises(ValueError, match=message):
    open_reader(tmp_path, "fewrel", files, shares)


@pytest.mark.silent_input
def test_rows_of_one_text_are_in_one_split():
  texts = [f"text {i // 3}" for i in range(300)]
  divided = fewrel.divide(texts, (60, 20, 20))
  assert sorted(x for rows in divided.values() for x in rows) == [
    *range(1, 301)
  ]
  splits = collections.defaultdict(set)
  for split, rows in divided.items():
    for row in rows:
      splits[texts[row - 1]].add(split)
  assert all(len(found) == 1 for found in splits.values())
  assert [len(rows) for rows in divided.values()] == [180, 60, 60]


@pytest.mark.parametrize(
  ("files", "shares", "message"),
  [
    ({}, (), r"--train_files, --val_files, .* --split\), got none"),
    ({"train": ["a.json"]}, (), "got --train_files$"),
    ({"train": ["a"], "val": ["a"]}, (80, 10, 10), "expected --train_files w"),
    ({"train": ["a.json"]}, (80, 20), "percents .* add up to 100, got 80,20"),
    ({"train": ["a.json"]}, (90, 10, 10), "--split: expected percents"),
    ({"train": ["b.json"]}, (80, 10, 10), r"b\.json: expected a file of Few"),
  ],
)
def test_every_split_needs_files(files, shares, message, tmp_path):
  write(tmp_path, {"P17": [GOOD]})
  with pytest.raises(ValueError, match=message):
    open_reader(tmp_path, "fewrel", NO_FILES | files, shares)
