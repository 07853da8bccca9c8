"""Datasets of other formats than MNRE's: prepared, and audited."""

import itertools
import json
import pathlib

import numpy as np
import pytest
import raw_tree
import small_tree
from format_files import few, line, write_jsonl
from small_tree import read_records

from ifa_jax.analyze.leak import command as leak
from ifa_jax.data import schema
from ifa_jax.preparation.mnre import command as mnre
from ifa_jax.preparation.mnre.plan import Planner
from ifa_jax.preparation.mnre.prepare import prepare
from ifa_jax.preparation.mnre.survey import survey
from ifa_jax.preparation.per_picture import pictures

pytestmark = pytest.mark.slow

# Boxes without a phrase: detected objects.
BOXES = {
  name: [box for box in listed if "phrase" not in box]
  for name, listed in small_tree.BOXES.items()
}


def as_line(row):
  """Returns a row of MNRE as a JSON line by words, its boxes included."""
  spans = {
    role: dict(zip(("start", "end"), row[key]["pos"], strict=True))
    for role, key in (("head", "h"), ("tail", "t"))
  }
  return {
    "text": row["token"],
    "relation": row["relation"],
    "image": row["img_id"],
    "boxes": BOXES.get(row["img_id"]),
    **spans,
  }


def write_same(folder):
  """Writes the small tree's rows and pictures as JSON lines."""
  write_jsonl(folder, [as_line(row) for row in small_tree.ROWS])
  (folder / "images").mkdir()
  for path, content in small_tree.PICTURES.items():
    (folder / "images" / pathlib.Path(path).name).write_bytes(content)
  return str(folder)


def test_lines_give_the_records_of_the_same_tree(settings, tmp_path):
  (tmp_path / "detected.json").write_text(json.dumps(BOXES))
  tree, _ = prepare(settings(boxes=str(tmp_path / "detected.json")))
  lines, _ = prepare(
    settings(
      format="jsonl",
      raw_dir=write_same(tmp_path / "lines"),
      data_dir=str(tmp_path / "lines_out"),
    )
  )
  for split in schema.SPLITS:
    (info, expected), (found_info, found) = (
      read_records(x, split) for x in (tree, lines)
    )
    names = info.features["relation"].names
    found_names = found_info.features["relation"].names
    for row, other in zip(expected, found, strict=True):
      relation = names[row.pop("relation")]
      assert found_names[other.pop("relation")] == relation
      assert row.keys() == other.keys()
      for key, value in row.items():
        np.testing.assert_array_equal(value, other[key], key)
  assert tree.metadata.keys() | {"format"} == lines.metadata.keys()
  assert "format" not in tree.metadata
  assert lines.metadata["format"] == {"name": "jsonl"}
  assert [*lines.metadata["sources"]] == [
    f"{split}.jsonl" for split in schema.SPLITS
  ]
  assert lines.metadata["counts"]["train"]["detected"] == 2


def test_names_of_the_negative_class_are_shown(settings, tmp_path, capsys):
  rows = [line(relation="b"), line(relation="NA")]
  raw_dir = write_jsonl(tmp_path / "lines", rows)
  mnre.show(*prepare(settings(format="jsonl", raw_dir=raw_dir)))
  shown = capsys.readouterr().out
  assert "2 relations by id (model.num_relations): None (NA in the" in shown
  # Other rows are another dataset.
  write_jsonl(tmp_path / "lines", [*rows, line(relation="c")])
  with pytest.raises(ValueError, match="expected relations"):
    prepare(settings(format="jsonl", raw_dir=raw_dir))


def test_texts_without_pictures_need_no_flag(settings, tmp_path, caplog):
  content = {
    name: [few(f"bill {name}{i} in Hollywood", [0], [3]) for i in range(20)]
    for name in "abc"
  }
  (tmp_path / "few.json").write_text(json.dumps(content))
  prepared, _ = prepare(
    settings(
      format="fewrel",
      raw_dir=str(tmp_path),
      train_files=["few.json"],
      split=(50, 25, 25),
      missing_pixels="error",
    )
  )
  assert prepared.num_rows == {"train": 30, "val": 15, "test": 15}
  assert prepared.relations == ["None", "a", "b", "c"]
  assert not prepared.has_any("image")
  assert "pictures found" not in caplog.text
  counts = prepared.metadata["counts"]["train"]
  assert (counts["pictures"], counts["missing_pictures"]) == (0, 0)
  assert prepared.metadata["format"]["split"] == [50, 25, 25]
  found = leak.measure(prepared.folder)
  assert found["counts"] == {}
  assert found["rows"]["train"]["relation"] == 30


def test_the_leak_audit_counts_the_boxes_of_lines(settings, tmp_path):
  """The number of boxes is 1 with a relation, and 0 without."""
  box = {"box": [0, 0, 20, 10], "score": 0.5}
  raw_dir = tmp_path / "lines"
  rows = [
    line(
      relation=relation,
      image=f"{relation}{i}.jpg",
      boxes=[box] if relation == "visits" else [],
    )
    for i, relation in itertools.product(range(40), ("none", "visits"))
  ]
  write_jsonl(raw_dir, rows)
  (raw_dir / "images").mkdir()
  for row in rows:
    (raw_dir / "images" / row["image"]).write_bytes(raw_tree.jpeg(32, 24))
  prepared, _ = prepare(settings(format="jsonl", raw_dir=str(raw_dir)))
  found = leak.measure(prepared.folder)
  assert found["rows"]["train"] == {"none": 40, "relation": 40}
  assert found["verdicts"] == {"picture": "no leak", "detected crops": "leak"}


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"protocol": "released"}, "--protocol: expected clean or none with --fo"),
    ({"protocol": "clean"}, "protocol clean cuts"),
    ({"boxes": "boxes.json"}, "--boxes: expected none, as the rows have boxes"),
    ({"split": (80, 10, 10)}, "--split: expected it with --format=fewrel"),
  ],
)
def test_settings_that_do_not_fit_the_format(
  changes, message, settings, tmp_path
):
  row = line(image="a.jpg", boxes=[{"box": [0, 0, 9, 9], "score": 1}])
  if changes.get("protocol") == "clean":
    row = line()
  raw_dir = write_jsonl(tmp_path / "lines", [row])
  with pytest.raises(ValueError, match=message):
    Planner(settings(format="jsonl", raw_dir=raw_dir, **changes))


def test_a_missing_picture_is_named_by_its_folder(settings, tmp_path):
  raw_dir = write_jsonl(tmp_path / "lines", [line(image="a.jpg")])
  with pytest.raises(ValueError, match=r"images/a\.jpg \(train\.jsonl:1\)"):
    prepare(settings(format="jsonl", raw_dir=raw_dir, missing_pixels="error"))


@pytest.mark.parametrize("form", ["mnre", "jsonl"])
@pytest.mark.parametrize("limit", [None, 5])
def test_relations_that_are_never_trained_are_reported(
  form, limit, settings, tmp_path, caplog
):
  names = {"train": "ab", "val": ("a", "None"), "test": "bc"}
  if form == "mnre":
    rows = {x: [raw_tree.row(relation=y) for y in names[x]] for x in names}
    tree = raw_tree.write_tree(tmp_path / "tree", rows, relations=None)
  else:
    rows = {x: [line(relation=y) for y in names[x]] for x in names}
    tree = write_jsonl(tmp_path / "tree", rows)
  survey(
    Planner(
      settings(
        format=form,
        raw_dir=str(tree),
        protocol="none",
        missing_pixels="absent",
        limit=limit,
      )
    )
  )
  found = [x for x in caplog.messages if "misspelt" in x]
  expected = (
    "test: 1 of 2 relations have no row in train, first 'c' (misspelt?)"
  )
  assert found == [expected] * (limit is None)


THAI = line("สมชายอยู่เชียงใหม่", (0, 5), (9, 18))


@pytest.mark.silent_input
def test_words_of_thai_are_counted_as_unknown(settings, tmp_path, caplog):
  words = line(["สมชาย", "อยู่", "เชียงใหม่"], (0, 1), (2, 3))
  raw_dir = write_jsonl(tmp_path / "lines", [THAI, words])
  planner = Planner(settings(format="jsonl", raw_dir=raw_dir))
  first, second = planner.plans("train")
  assert first.encoded == second.encoded
  assert (first.num_unknown, len(first.row.words)) == (3, 3)
  survey(planner)
  assert "18 of 18 words are unknown to it" in caplog.text


@pytest.mark.silent_input
def test_strings_without_spaces_have_long_words(settings, tmp_path):
  """A character is a piece, but a word is kept or dropped as a whole."""
  characters = ("安", "北")
  tokenizer = raw_tree.write_tokenizer(tmp_path / "chinese", characters)
  spans = {"head": (0, 1), "tail": (31, 32)}
  text = f"北{'安' * 30}北"
  rows = [
    line(text, **spans),
    line([*text], **spans),
    # WordPiece takes no word of more than 100 letters.
    *(line(f"in {'a' * n} Rome", (0, 2), (4 + n, 8 + n)) for n in (100, 101)),
  ]
  values = {
    "format": "jsonl",
    "raw_dir": write_jsonl(tmp_path / "lines", rows),
    "tokenizer": tokenizer,
  }
  plans = [*Planner(settings(**values, text_len=150)).plans("train")]
  # With [CLS], [SEP] and four markers.
  assert [len(plan.encoded.input_ids) for plan in plans[:2]] == [38, 38]
  assert [plan.num_unknown for plan in plans] == [0, 0, 0, 1]
  plans = [*Planner(settings(**values, text_len=28)).plans("train")]
  assert [len(plan.encoded.input_ids) for plan in plans[:2]] == [8, 28]


def test_objects_and_captions_are_made_of_the_pictures_of_lines(tmp_path):
  raw_dir = write_same(tmp_path / "lines")
  write_jsonl(tmp_path / "lines", [as_line(small_tree.ROWS[0]), line()])
  wanted, num_missing = pictures.read_tree(raw_dir, None, "fail", "jsonl")
  (picture,) = wanted
  assert (picture.name, picture.names) == ("a.jpg", ("Bill Cosby", "Hollywood"))
  assert picture.path == f"{raw_dir}/images/a.jpg"
  assert num_missing == 0
  (tmp_path / "lines/images/a.jpg").unlink()
  with pytest.raises(ValueError, match="of its rows in images, got none of 1"):
    pictures.read_tree(raw_dir, None, "fail", "jsonl")
