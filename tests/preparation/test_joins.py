"""Listed pictures and phrases that match no row are reported, or refused."""

import json
import logging
import re

import pytest
import raw_tree

from ifa_jax.preparation.mnre.plan import Planner, Settings
from ifa_jax.preparation.mnre.survey import survey
from ifa_jax.preparation.scenes import splits

pytestmark = pytest.mark.silent_input

TEXT = "Zoë joins Acme today"


@pytest.fixture
def prepare(tmp_path, caplog):
  """Surveys a tree of posts of `TEXT`; returns plans and the log."""
  caplog.set_level(logging.INFO, "ifa_jax")
  tokenizer = raw_tree.write_tokenizer(tmp_path / "tokenizer")
  (tmp_path / "b").mkdir()

  def survey_tree(boxes, img_ids=("a.jpg",), files=("a.jpg",), **changes):
    rows = [raw_tree.row(TEXT, (0, 1), (2, 3), name) for name in img_ids]
    pictures = {f"train/{name}": raw_tree.jpeg() for name in files}
    raw_dir = raw_tree.write_tree(tmp_path / "raw", rows, pictures)
    path = tmp_path / "b" / "boxes.json"
    path.write_text(json.dumps(boxes))
    planner = Planner(
      Settings(
        raw_dir=raw_dir,
        data_dir="",
        boxes=str(path),
        tokenizer=tokenizer,
        missing_pixels="absent",
        **{"protocol": "clean", **changes},
      )
    )
    survey(planner)
    return list(planner.plans("train")), caplog.messages

  return survey_tree


def box(phrase=None):
  named = {} if phrase is None else {"phrase": phrase}
  return {"box": [0, 0, 9, 9], "score": 0.9, **named}


@pytest.mark.parametrize("phrase", ["zoë", "Zoe\u0308", " ZOË."])
def test_a_phrase_spelt_otherwise_gives_crops(prepare, phrase):
  (plan,), logged = prepare({"a.jpg": [box(phrase)]})
  assert plan.num_grounded == 1
  assert len(logged) == 1
  assert logged[0].endswith("img_org: 1 of 1 pictures found")


def test_phrases_that_match_no_row_are_counted(prepare):
  boxes = [box("zoë"), box("Bob"), box("bob"), box("Acme"), box()]
  _, logged = prepare({"a.jpg": boxes})
  assert logged[1].endswith(
    "boxes.json: 1 of 3 phrases match no row, first 'bob in a.jpg'"
  )
  assert len(logged) == 2


def test_pictures_that_match_no_row_are_counted(prepare):
  _, logged = prepare({"a.jpg": [box()], "A.jpg": [], "c.jpg": []})
  assert logged[1].endswith(
    "boxes.json: 2 of 3 pictures match no row, first 'A.jpg'"
  )


@pytest.mark.parametrize("protocol", ["clean", "none"])
@pytest.mark.parametrize("name", ["b.jpg", "train/a.jpg", "a"])
def test_a_file_of_other_pictures_is_refused(prepare, protocol, name):
  message = "boxes.json: expected pictures .* got 1 that match no row"
  with pytest.raises(ValueError, match=message) as error:
    prepare({name: [box("Zoë")]}, protocol=protocol)
  assert "\n" not in str(error.value)


def test_a_name_without_the_suffix_of_the_rows_is_explained(prepare):
  # A row's img_id "post7" is the picture post7.jpg.
  hint = r", first 'post7'; the rows call 'post7' 'post7.jpg'$"
  with pytest.raises(ValueError, match=f"that match no row{hint}"):
    prepare({"post7": [box("Zoë")]}, ["post7"], ["post7.jpg"])
  boxes = {"a.jpg": [box("Zoë")], "post7": []}
  _, logged = prepare(boxes, ["post7", "a.jpg"])
  assert re.search(f"1 of 2 pictures match no row{hint}", logged[-1])


def test_phrases_of_other_names_are_refused_where_they_count(prepare):
  with pytest.raises(ValueError, match="expected phrases of the tree's rows"):
    prepare({"a.jpg": [box("Bob")]})
  _, logged = prepare({"a.jpg": [box("Bob")]}, protocol="none")
  assert logged[-1].endswith("1 of 1 pictures found")


def test_of_the_first_rows_nothing_is_refused(prepare):
  boxes = {"b.jpg": [box("Zoë")]}
  _, logged = prepare(boxes, ("a.jpg", "b.jpg"), limit=1)
  message = "1 of 1 pictures match no row that was read, first 'b.jpg'"
  assert logged[1].endswith(message)


def test_boxes_without_a_phrase_give_no_grounded_crop(prepare):
  (plan,), logged = prepare({"a.jpg": [box()]})
  assert plan.num_grounded == 0
  assert "no box has a phrase" in logged[-1]


def levels(caplog):
  return [record.levelname for record in caplog.records]


def test_found_pictures_are_counted(prepare, caplog):
  names = ("a.jpg", "b.jpg", "c.jpg")
  boxes = {"a.jpg": [box("Zoë")]}
  _, logged = prepare(boxes, names, ("a.jpg", "b.jpg"))
  assert logged[0].endswith("img_org: 2 of 3 pictures found")
  assert levels(caplog)[0] == "INFO"


def test_most_pictures_missing_is_a_warning(prepare, caplog):
  names = ("a.jpg", "b.jpg", "c.jpg")
  _, logged = prepare({"a.jpg": [box("Zoë")]}, names)
  assert logged[0].endswith(
    "img_org: 1 of 3 pictures found; most are missing, first 'b.jpg'"
  )
  assert levels(caplog)[0] == "WARNING"


def test_scenes_of_other_pictures_are_refused(tmp_path):
  rows = [raw_tree.row(TEXT, (0, 1), (2, 3))]
  pictures = {"train/a.jpg": raw_tree.jpeg()}
  raw_dir = raw_tree.write_tree(tmp_path / "raw", rows, pictures)
  path = tmp_path / "boxes.json"
  out = tmp_path / "scenes"
  settings = splits.Settings(raw_dir, str(out), str(path), parser="chain")
  path.write_text(json.dumps({"raw/a.jpg": [box()]}))
  with pytest.raises(ValueError, match=r"boxes\.json: expected pictures of"):
    splits.produce(settings)
  assert not out.exists()
  path.write_text(json.dumps({"a.jpg": [box()]}))
  assert splits.produce(settings)["train"]["scenes"] == 1
