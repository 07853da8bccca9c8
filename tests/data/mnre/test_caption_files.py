"""Files of captions by picture."""

import dataclasses
import json
import os
import pathlib

import pytest

from ifa_jax.data import schema
from ifa_jax.data.mnre import tree
from ifa_jax.data.mnre.captions import Captions
from ifa_jax.data.mnre.row import Row, RowError

MNRE_DIR = os.environ.get("MNRE_DIR")
OBJECT = '{"a.jpg": "a dog", "b.jpg": ""}'
LINES = "{'img_id': 'a.jpg', 'text': \"a dog's life\"}\n\n"
LINES += "{'img_id': 'b.jpg', 'text': ' two\\tcats '}\n"
JSON_LINES = '{"img_id": "a.jpg", "text": "http:\\/\\/t.co"}\n'


def row(img_id, caption=""):
  spans = {"head": (0, 1), "tail": (1, 2), "head_name": "a", "tail_name": "b"}
  return Row("train", 3, ("a", "b"), img_id=img_id, relation="None",
             caption=caption, **spans)  # fmt: skip


def read(tmp_path, *texts):
  paths = []
  for number, text in enumerate(texts):
    paths.append(str(tmp_path / f"{number}.txt"))
    pathlib.Path(paths[-1]).write_text(text)
  return Captions(paths)


@pytest.mark.parametrize(
  ("text", "expected"),
  [
    (OBJECT, {"a.jpg": "a dog", "b.jpg": ""}),
    (json.dumps(json.loads(OBJECT), indent=2), {"a.jpg": "a dog", "b.jpg": ""}),
    ("\ufeff" + OBJECT, {"a.jpg": "a dog", "b.jpg": ""}),
    (LINES, {"a.jpg": "a dog's life", "b.jpg": "two\tcats"}),
    (JSON_LINES, {"a.jpg": "http://t.co"}),
    # One line that is an object of both forms.
    ('{"img_id": "a.jpg", "text": "b"}', {"a.jpg": "b"}),
    # Captioners add their scores.
    ("{'img_id': 'a.jpg', 'text': 'b', 'score': 1}\n" * 2, {"a.jpg": "b"}),
    ('{"score": 1, "img_id": "a.jpg", "text": "b"}\n', {"a.jpg": "b"}),
    ("{}", {}),
  ],
)
def test_both_forms_are_read(tmp_path, text, expected):
  captions = read(tmp_path, text)
  assert {k: captions.find(row(k)) for k in expected} == expected
  assert captions.find(row("other.jpg")) == ""


def test_a_row_may_bring_the_caption_of_its_picture(tmp_path):
  captions = read(tmp_path, OBJECT)
  assert captions.find(row("a.jpg")) == captions.find(row("a.jpg", "a dog"))
  assert captions.find(row("c.jpg", "mine")) == "mine"
  assert captions.find(row("c.jpg", "mine")) == "mine"


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("rows", "message"),
  [
    (
      [("c.jpg", "x"), ("c.jpg", "y")],
      "c.jpg in ours_train.txt:3, 'x', got 'y'",
    ),
    ([("c.jpg", "x"), ("c.jpg", "")], "c.jpg in ours_train.txt:3, 'x', got ''"),
    ([("c.jpg", ""), ("c.jpg", "x")], "c.jpg in ours_train.txt:3, '', got 'x'"),
    ([("a.jpg", "x")], "a.jpg in .*0.txt, 'a dog', got 'x'"),
    ([("b.jpg", "x")], "b.jpg in .*0.txt, '', got 'x'"),
  ],
)
def test_rows_and_files_agree_on_the_caption_of_a_picture(
  tmp_path, rows, message
):
  captions = read(tmp_path, OBJECT)
  *before, last = rows
  for given in before:
    captions.find(row(*given))
  where = "ours_test.txt:5: two captions: expected the caption of "
  with pytest.raises(RowError, match=f"^{where}{message}$"):
    captions.find(dataclasses.replace(row(*last), split="test", line=5))


@pytest.mark.silent_input
def test_two_captions_of_a_picture_are_refused_if_a_row_shows_it(tmp_path):
  captions = read(tmp_path, OBJECT, '{"a.jpg": "a cat", "b.jpg": " "}')
  assert captions.find(row("b.jpg")) == ""
  message = "ours_train.txt:3: two captions: expected one caption of a.jpg"
  for own in ("", "a dog"):
    with pytest.raises(RowError, match=message):
      captions.find(row("a.jpg", own))


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("text", "message"),
  [
    ('{"a.jpg": "x", "a.jpg": "y"}', "each key of an object once, got 'a.jpg'"),
    ('{"a.jpg": ["x"]}', r"expected a caption of 'a.jpg', got \['x'\]"),
    ('{"a.jpg": null}', "expected a caption of 'a.jpg', got None"),
    ('{"a.jpg": "\\ud83d"}', "expected a caption of 'a.jpg'"),
    ('{"": "x"}', "expected the file name of a picture, got ''"),
    ('["a dog"]', "expected an object of picture names to captions, or a line"),
    ("a dog", "not JSON"),
    ("", "not JSON"),
    (f"{LINES}a dog", "0.txt:4: "),
    (f"{LINES}{{'img_id': 'c.jpg'}}", "0.txt:4: expected an object of img_id"),
    (f"{LINES}{{'img_id': 5, 'text': 'x'}}", "0.txt:4: expected the file name"),
  ],
)
def test_a_malformed_file_is_refused(tmp_path, text, message):
  with pytest.raises(ValueError, match=message):
    read(tmp_path, text)


@pytest.mark.skipif(not MNRE_DIR, reason="set MNRE_DIR to MNRE's data/ folder")
def test_every_published_picture_has_a_caption():
  folder = pathlib.Path(MNRE_DIR).parent / "captions"
  if not folder.is_dir():
    pytest.skip("no published captions next to MNRE_DIR")
  names = ("train", "val", "test")
  found = Captions([str(folder / f"BLIP_{name}.txt") for name in names])
  assert len(found.pictures) == 9202
  rows = [
    row
    for split in schema.SPLITS
    for row in tree.read_rows(MNRE_DIR, split, None)
  ]
  empty = {row.img_id for row in rows if not found.find(row)}
  assert len(empty) == 35
  assert {row.img_id for row in rows} <= {*found.pictures}
