"""The quickstart data: MNRE's format, and a label that needs both inputs."""

import collections
import dataclasses
import functools
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import quickstart_tree
import transformers
from PIL import Image
from quickstart_tree import rows_of

from ifa_jax.preparation.quickstart import command as quickstart
from ifa_jax.preparation.quickstart import pictures as pictures

pytestmark = pytest.mark.slow

SETTINGS = quickstart.Settings(num_train=480, num_dev=12, num_test=48, seed=3)
SMALL = quickstart.Settings(num_train=24, num_dev=12, num_test=12, seed=5)
cells_of = functools.partial(quickstart_tree.cells_of, SETTINGS)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
  out = tmp_path_factory.mktemp("quickstart") / "raw"
  quickstart.generate(out, SETTINGS)
  return out


def contents(folder):
  folder = pathlib.Path(folder)
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in sorted(folder.rglob("*"))
    if path.is_file()
  }


def test_types_and_emblem_determine_the_relation_and_neither_does_alone():
  table = quickstart.RELATIONS
  names = [table[kind][emblem] for kind, emblem in quickstart.CELLS]
  counts = collections.Counter(names)
  assert counts.pop("None") == len(table)
  assert set(counts.values()) == {1}
  for row in table.values():
    assert len(set(row.values())) == 4
  nothing = [
    emblem for row in table.values() for emblem in row if row[emblem] == "None"
  ]
  assert len(set(nothing)) == len(table)


def test_files_are_those_of_a_raw_tree(tree):
  relations = json.loads((tree / "ours_rel2id.json").read_text())
  assert relations["None"] == 0
  assert sorted(relations.values()) == list(range(10))
  images = []
  for split, count in SETTINGS.splits.items():
    rows = rows_of(tree, split)
    assert len(rows) == count
    images += [f"{split}/{row['img_id']}" for row in rows]
    for row in rows:
      assert set(row) == {"token", "h", "t", "img_id", "relation"}
      assert row["relation"] in relations
  found = [
    f"{path.parent.name}/{path.name}" for path in tree.glob("img_org/*/*")
  ]
  assert sorted(found) == sorted(images)
  assert len({image.split("/")[1] for image in images}) == len(images)


def test_cells_are_equally_frequent(tree):
  for split in ("train", "test"):
    rows = rows_of(tree, split)
    counts = collections.Counter(row["relation"] for row in rows)
    assert counts.pop("None") == len(rows) // 4
    assert set(counts.values()) == {len(rows) // 12}


def test_spans_name_their_words(tree):
  for row in rows_of(tree, "train"):
    assert 8 <= len(row["token"]) <= 25
    for role in "ht":
      begin, end = row[role]["pos"]
      assert row[role]["name"] == " ".join(row["token"][begin:end])
    (h0, h1), (t0, t1) = row["h"]["pos"], row["t"]["pos"]
    assert h1 <= t0 or t1 <= h0
    assert row["h"]["name"] != row["t"]["name"]


def test_spans_are_at_all_places(tree):
  places = collections.Counter()
  rows = rows_of(tree, "train")
  for row in rows:
    (h0, h1), (t0, t1) = row["h"]["pos"], row["t"]["pos"]
    places["start"] += 0 in (h0, t0)
    places["end"] += len(row["token"]) in (h1, t1)
    places["adjacent"] += h1 == t0 or t1 == h0
    places["tail first"] += t0 < h0
  assert all(count > 0.05 * len(rows) for count in places.values())
  assert len(places) == 4


def test_names_of_the_test_split_are_not_seen_in_training(tree):
  def names(split):
    return [row[role]["name"] for row in rows_of(tree, split) for role in "ht"]

  seen = set(names("train"))
  assert np.mean([name in seen for name in names("test")]) < 0.05


def test_boxes_are_inside_their_pictures(tree):
  boxes = json.loads((tree / "boxes.json").read_text())
  for split in SETTINGS.splits:
    for row in rows_of(tree, split):
      path = tree / "img_org" / split / row["img_id"]
      with Image.open(path) as image:
        width, height = image.size
      assert path.stat().st_size < 20_000
      assert all(120 <= length <= 200 for length in (width, height))
      entries = boxes[row["img_id"]]
      scores = [entry["score"] for entry in entries]
      assert scores == sorted(scores, reverse=True)
      for entry in entries:
        x0, y0, x1, y1 = entry["box"]
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
      phrases = [entry["phrase"] for entry in entries if "phrase" in entry]
      assert len(set(phrases)) == len(phrases)
      assert set(phrases) <= {row["h"]["name"], row["t"]["name"]}
      assert len(entries) > len(phrases)


def test_emblem_is_the_best_detected_object_and_in_the_centre_square():
  for seed in range(40):
    picture, boxes = pictures.draw("cup", np.random.default_rng(seed))
    detected = [box for box in boxes if box.role in ("emblem", "shape")]
    assert [box.role for box in detected].count("emblem") == 1
    assert detected[0].role == "emblem"
    side = min(picture.size)
    x, y = ((length - side) / 2 for length in picture.size)
    x0, y0, x1, y1 = detected[0].corners
    slack = 0.04 * side
    assert x - slack <= x0 < x1 <= x + side + slack
    assert y - slack <= y0 < y1 <= y + side + slack


def test_cells_give_the_relations(tree):
  for split in SETTINGS.splits:
    for row, (kind, emblem) in zip(
      rows_of(tree, split), cells_of(split), strict=True
    ):
      assert row["relation"] == quickstart.RELATIONS[kind][emblem]


def test_same_seed_same_bytes(tmp_path):
  for name, settings in (
    ("a", SMALL),
    ("b", SMALL),
    ("c", dataclasses.replace(SMALL, seed=6)),
  ):
    quickstart.generate(tmp_path / name, settings)
  assert contents(tmp_path / "a") == contents(tmp_path / "b")
  first, other = contents(tmp_path / "a"), contents(tmp_path / "c")
  assert first.keys() == other.keys()
  same = {name for name in first if first[name] == other[name]}
  assert all("tokenizer/" in name or "rel2id" in name for name in same)


def test_replaces_what_it_wrote(tmp_path):
  out = tmp_path / "raw"
  out.mkdir()
  quickstart.generate(out, dataclasses.replace(SMALL, num_train=36))
  quickstart.generate(out, SMALL)
  assert len(rows_of(out, "train")) == 24
  assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_refuses_to_replace_anything_else(tmp_path):
  (tmp_path / "notes.txt").write_text("mine")
  with pytest.raises(ValueError, match="did not write"):
    quickstart.generate(tmp_path, SMALL)
  with pytest.raises(ValueError, match="expected a folder"):
    quickstart.generate(tmp_path / "notes.txt", SMALL)
  assert (tmp_path / "notes.txt").read_text() == "mine"


def test_failure_leaves_nothing(tmp_path, monkeypatch):
  def fail(*unused):
    raise OSError("disk full")

  monkeypatch.setattr(pictures, "encode", fail)
  with pytest.raises(OSError, match="disk full"):
    quickstart.generate(tmp_path / "raw", SMALL)
  assert not list(tmp_path.iterdir())


def test_command_reports_a_mistake_in_one_line(tmp_path):
  (tmp_path / "notes.txt").write_text("mine")
  command = [sys.executable, "-m", "data_prep.quickstart", f"--out={tmp_path}"]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert done.returncode == 1
  assert "did not write" in done.stderr
  assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def wordpiece(tree):
  return transformers.AutoTokenizer.from_pretrained(
    tree / "tokenizer", local_files_only=True
  )


def test_tokenizer_covers_the_posts(tree, wordpiece):
  for split in SETTINGS.splits:
    texts = [" ".join(row["token"]) for row in rows_of(tree, split)]
    ids = wordpiece(texts)["input_ids"]
    assert all(wordpiece.unk_token_id not in row for row in ids)
    assert max(len(row) for row in ids) <= 44


def test_tokenizer_splits_as_bert_does(wordpiece):
  got = wordpiece.tokenize("RT @Peto_Zar : Zürich 😂 #LOVE")
  assert " ".join(got) == "rt @ pe ##to _ zar : zu ##ri ##c ##h 😂 # love"
  ids = wordpiece("hello")["input_ids"]
  assert wordpiece.convert_ids_to_tokens(ids) == ["[CLS]", "hello", "[SEP]"]
  assert wordpiece.pad_token_id == 0
  markers = ["<s>", "</s>", "<o>", "</o>"]
  size = len(wordpiece)
  assert wordpiece.convert_tokens_to_ids(markers) == 4 * [
    wordpiece.unk_token_id
  ]
  assert len(wordpiece.get_vocab()) == size
