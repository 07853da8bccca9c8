"""Datasets with captions, and those that models of captions refuse."""

import json
import pathlib

import pytest
import raw_tree
import tiny_run
import tiny_systems
from dataset_metadata import METADATA
from small_tree import PICTURES, ROWS, read_records

from ifa_jax.data import schema
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.models import registry
from ifa_jax.preparation.mnre import command as mnre
from ifa_jax.preparation.mnre.plan import Planner
from ifa_jax.preparation.mnre.prepare import prepare
from ifa_jax.preparation.mnre.survey import survey
from ifa_jax.training import experiment
from ifa_jax.training.config.run_config import RunConfig


@pytest.fixture(name="captions")
def files_of_captions(tmp_path):
  """Two files in the two forms, as published for several splits."""
  whole, lines = tmp_path / "a.json", tmp_path / "b.txt"
  whole.write_text(json.dumps({"a.jpg": "Bill in Hollywood", "else.jpg": "x"}))
  lines.write_text("{'img_id': 'b.jpg', 'text': 'in'}\n")
  return [str(whole), str(lines)]


@pytest.mark.slow
def test_captions_are_in_the_records(settings, captions, caplog, capsys):
  prepared, is_new = prepare(settings(captions=captions, caption_len=4))
  mnre.show(prepared, is_new)
  shown = capsys.readouterr().out
  assert "rows with a caption" in shown
  _, records = read_records(prepared)
  words = [[word.decode() for word in r["caption"]] for r in records]
  assert words == [["Bill", "in", "Hollywood"], ["in"], []]
  tokenizer = Tokenizer.load(settings().tokenizer)
  expected = tokenizer.encode_caption("Bill in Hollywood", 4)
  assert records[0]["caption_ids"].tolist() == [*expected.input_ids]
  assert records[0]["caption_word_ids"].tolist() == [-1, 0, 1, -1]
  assert records[2]["caption_ids"].tolist() == []
  counts = prepared.metadata["counts"]["train"]
  keys = ("captions", "longest_caption", "shortened_captions")
  assert [counts[key] for key in keys] == [2, 4, 1]
  assert prepared.has_captions
  assert "1 of 3 pictures match no row, first 'else.jpg'" in caplog.text
  # Other captions are another dataset.
  with pytest.raises(ValueError, match=r"expected captions\.sha256"):
    prepare(settings(captions=captions[:1], caption_len=4))
  with pytest.raises(ValueError, match=r"captions\.caption_len 64, got 4"):
    prepare(settings(captions=captions))


@pytest.mark.slow
def test_a_row_brings_its_own_caption(settings, captions, tmp_path):
  rows = [{**ROWS[0], "caption": "Hollywood"}, {**ROWS[1], "caption": ""}]
  raw_dir = raw_tree.write_tree(tmp_path / "own", rows, PICTURES)
  prepared, _ = prepare(settings(raw_dir=raw_dir, captions=captions[1:]))
  _, records = read_records(prepared)
  assert [[*r["caption"]] for r in records] == [[b"Hollywood"], [b"in"]]
  with pytest.raises(ValueError, match=r"a\.json, 'Bill in .*got 'Hollywood'"):
    prepare(settings(raw_dir=raw_dir, captions=captions))
  prepared, _ = prepare(settings(raw_dir=raw_dir, data_dir=str(tmp_path / "2")))
  _, records = read_records(prepared)
  assert [[*r["caption"]] for r in records] == [[b"Hollywood"], []]


@pytest.mark.silent_input
def test_captions_cannot_depend_on_the_relation_of_a_row(settings, tmp_path):
  """Whether a row has a caption would be the label, also across splits."""
  with_caption = {**ROWS[0], "caption": "Hollywood"}
  raw_dir = raw_tree.write_tree(tmp_path / "own", [with_caption], PICTURES)
  survey(Planner(settings(raw_dir=raw_dir)))
  (tmp_path / "own/txt/ours_test.txt").write_text(f"{ROWS[0]}\n")
  with pytest.raises(ValueError, match=r"ours_test\.txt:1: two captions: "):
    survey(Planner(settings(raw_dir=raw_dir)))
  rows = [{**with_caption, "caption": "other"}, with_caption, ROWS[1]]
  raw_tree.write_tree(tmp_path / "own", rows, PICTURES)
  planner = Planner(settings(raw_dir=raw_dir, on_error="skip"))
  for _ in range(2):
    assert survey(planner).num_rows["train"] == 2


@pytest.mark.silent_input
def test_captions_of_other_pictures_are_refused(settings, tmp_path):
  path = tmp_path / "captions.json"
  path.write_text('{"other.jpg": "x"}')
  with pytest.raises(ValueError, match="1 that match no row, first 'other"):
    prepare(settings(captions=[str(path)]))
  assert not pathlib.Path(settings().data_dir).exists()


@pytest.mark.silent_input
@pytest.mark.parametrize("caption", [5, ["a"], "\ud83d"])
def test_a_caption_that_is_no_text_is_refused(settings, tmp_path, caption):
  rows = [{**ROWS[0], "caption": caption}]
  raw_dir = raw_tree.write_tree(tmp_path / "own", rows, PICTURES)
  with pytest.raises(ValueError, match="wrong type: expected a text in 'capti"):
    prepare(settings(raw_dir=raw_dir))


def check(name, dataset, **data):
  config = tiny_run.tiny_run_config("data", data=data)
  config["model"] = registry.to_dict(tiny_systems.MODELS[name])
  prepared = schema.Prepared("there", METADATA | dataset, {})
  experiment.check_dataset(prepared, RunConfig.from_dict(config))


@pytest.mark.parametrize("name", ["caption", "ifaformer_caption"])
def test_a_model_of_captions_needs_long_enough_ones(name):
  check(name, {"captions": {"caption_len": 24, "sha256": []}})
  with pytest.raises(
    ValueError,
    match=r"there: expected captions .*--captions=captions.json --overwrite",
  ):
    check(name, {})
  with pytest.raises(ValueError, match=r"caption_len: expected at most 8, as"):
    check(name, {"captions": {"caption_len": 8, "sha256": []}})


def test_positions_limit_captions():
  dataset = {"captions": {"caption_len": 99, "sha256": []}}
  with pytest.raises(
    ValueError, match=r"caption_len: expected at most model\."
  ):
    check("ifaformer_caption", dataset, caption_len=41)
  check("caption", dataset, caption_len=25)
  with pytest.raises(ValueError, match=r"text_len with data\.caption_len"):
    check("caption", dataset, caption_len=26)
