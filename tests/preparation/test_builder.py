"""Prepared records, and the folder that they are in."""

import json
import pathlib

import numpy as np
import pytest
import raw_tree
import small_tree
from dataset_metadata import METADATA, write_dataset
from small_tree import PICTURES, SIZES, read_records

from ifa_jax.data import schema
from ifa_jax.data.images import decode
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.preparation.mnre.prepare import prepare

pytestmark = pytest.mark.slow


def test_records_hold_the_rows_of_the_tree(settings, tmp_path):
  boxes = str(tmp_path / "boxes.json")
  prepared, is_new = prepare(settings(protocol="clean", boxes=boxes))
  assert is_new
  info, records = read_records(prepared)
  assert prepared.num_rows == dict.fromkeys(schema.SPLITS, 3)
  assert prepared.num_rows == {
    name: split.num_examples for name, split in info.splits.items()
  }
  assert info.features["relation"].names == list(raw_tree.RELATIONS)
  assert not [name for name in info.features if "caption" in name]
  assert not prepared.has_captions
  first, second, third = records
  assert [r["id"] for r in records] == [b"train/1", b"train/2", b"train/3"]
  assert [r["relation"] for r in records] == [2, 0, 2]
  assert list(second["words"]) == [b"Rome,", b"where", b"Bill", b"lives"]
  assert second["img_id"] == b"b.jpg"
  assert (list(second["head_span"]), list(second["tail_span"])) == (
    [2, 3],
    [0, 1],
  )
  assert (
    second["input_ids"][second["head_start"] + 1]
    == (first["input_ids"][first["head_start"] + 1])
  )  # "bill" in both.
  assert len(first["input_ids"]) == len(first["word_ids"]) == 14
  # Pixels: those of `pictures`, found in another split's folder too.
  picture = decode.open_picture(PICTURES["train/a.jpg"])
  assert (first["image"] == [decode.fit(picture, 32)]).all()
  assert list(first["picture_size"]) == [60, 40]
  assert list(second["picture_size"]) == [30, 50]
  assert second["image"].shape == (1, 32, 32, 3)
  crop = decode.cut(picture, (0, 0, 20, 10.5))
  assert (first["grounded"] == [decode.fit(crop, 32)]).all()
  # Best first, two of three.
  assert first["detected"].shape == (2, 16, 16, 3)
  assert first["detected_boxes"].tolist() == [[1, 1, 9, 9], [2, 2, 9, 9]]
  assert np.array_equal(first["grounded_boxes"], [[0, 0, 20, 10.5]])
  assert (first["num_grounded"], first["num_detected"]) == (1, 3)
  lengths = schema.read_text_lengths(prepared.folder, "train", 3)
  assert lengths.tolist() == [len(r["input_ids"]) for r in records]
  # Without its picture a row has no pixels, and the list still counts.
  assert third["image"].shape == (0, 32, 32, 3)
  assert third["detected"].shape == (0, 16, 16, 3)
  assert third["num_detected"] == 1
  assert list(third["picture_size"]) == [0, 0]


@pytest.mark.silent_input
def test_pictures_and_crops_may_be_squashed(settings):
  prepared, _ = prepare(settings(resize="squash"))
  assert prepared.metadata["resize"] == "squash"
  _, (first, *_) = read_records(prepared)
  picture = decode.open_picture(PICTURES["train/a.jpg"])
  assert (first["image"] == [decode.fit(picture, 32, "squash")]).all()
  crop = decode.cut(picture, (0, 0, 20, 10.5))
  assert (first["grounded"] == [decode.fit(crop, 32, "squash")]).all()
  with pytest.raises(ValueError, match="squash"):
    prepare(settings())


def test_metadata_has_the_settings_that_training_must_match(
  settings, small_tokenizer, tmp_path
):
  prepared, _ = prepare(settings(limit=2))
  metadata = prepared.metadata
  assert metadata["protocol"] == "none"
  assert metadata["relations"] == list(raw_tree.RELATIONS)
  assert [metadata[k] for k in SIZES if k != "num_workers"] == [32, 8, 2]
  assert (metadata["limit"], metadata["boxes"]) == (2, None)
  assert prepared.num_rows == {"train": 2, "val": 2, "test": 2}
  assert set(metadata["sources"]) == {
    "ours_rel2id.json",
    *(f"txt/ours_{split}.txt" for split in schema.SPLITS),
  }
  # Nothing of this machine.
  assert str(tmp_path) not in json.dumps(metadata)
  assert metadata["tokenizer"]["name"] == pathlib.Path(small_tokenizer).name
  saved = Tokenizer.load(pathlib.Path(prepared.folder) / "tokenizer")
  assert saved.sha256 == metadata["tokenizer"]["sha256"]
  assert saved.vocab_size == metadata["tokenizer"]["vocab_size"]


@pytest.mark.parametrize(
  ("policy", "found"), [("grey", [2, 1, 0]), ("absent", [1, 0, 0])]
)
def test_released_keeps_the_number_of_crops(settings, policy, found):
  asked = settings(protocol="released", missing_pixels=policy)
  small_tree.add_dictionaries(asked.raw_dir)
  prepared, _ = prepare(asked)
  _, records = read_records(prepared)
  assert [r["num_grounded"] for r in records] == [3, 1, 0]
  assert [len(r["grounded"]) for r in records] == found
  # y.jpg is the only crop that is there.
  crop = decode.open_picture(raw_tree.jpeg(9, 9, 3))
  drawn = decode.fit(crop, 32)
  assert (records[0]["grounded"][-1] == drawn).all()
  if policy == "grey":
    assert (records[0]["grounded"][0] == decode.grey(32)).all()
    assert (records[2]["image"] == [decode.grey(32)]).all()
  counts = prepared.metadata["counts"]["train"]
  assert (counts["grounded"], counts["missing_grounded"]) == (1, 2)
  assert (counts["pictures"], counts["missing_pictures"]) == (2, 1)
  assert counts["unknown_words"] == 0


def test_read_metadata_chooses_by_protocol(tmp_path):
  with pytest.raises(
    ValueError,
    match=r"expected a prepared dataset, got none; .*data_prep\.mnre",
  ):
    schema.read_metadata(tmp_path)
  write_dataset(tmp_path / "mnre/none/2.0.0", METADATA | {"protocol": "none"})
  first = schema.read_metadata(tmp_path)
  assert first.protocol == "none"
  assert schema.read_metadata(first.folder) == first
  write_dataset(tmp_path / "mnre/clean/2.0.0", METADATA)
  with pytest.raises(ValueError, match="expected one dataset, got mnre/clean/"):
    schema.read_metadata(tmp_path)
  assert schema.read_metadata(tmp_path, "none") == first
  assert schema.read_metadata(tmp_path, "clean").metadata == METADATA
  with pytest.raises(ValueError, match="expected protocol released, got mnre/"):
    schema.read_metadata(tmp_path, "released")


def test_read_metadata_passes_over_killed_runs_and_old_formats(settings):
  prepared, _ = prepare(settings())
  folder = pathlib.Path(prepared.folder)
  killed = folder.with_name(".preparing-x")
  folder.rename(killed)
  with pytest.raises(ValueError, match="expected a prepared dataset, got none"):
    schema.read_metadata(settings().data_dir)
  killed.rename(folder)
  old = {**prepared.metadata, "format_version": 0}
  (folder / "metadata.json").write_text(json.dumps(old))
  with pytest.raises(ValueError, match="expected record format 2, got 0"):
    schema.read_metadata(settings().data_dir)
  # Next to its successor the old one is skipped.
  folder.rename(folder.with_name("0.0.0"))
  assert prepare(settings())[0] == prepared


@pytest.mark.parametrize(
  "lines", [None, "14\n9\n", "14\n9\n8\n7\n", "a\n9\n8\n"]
)
def test_lengths_of_other_rows_are_refused(tmp_path, lines):
  path = tmp_path / "text_lengths-val.txt"
  if lines is not None:
    path.write_text(lines)
  with pytest.raises(
    ValueError, match="expected the text lengths of 3 rows"
  ) as e:
    schema.read_text_lengths(str(tmp_path), "val", 3)
  assert str(path) in str(e.value)


def test_workers_draw_what_one_process_draws(settings):
  prepared, _ = prepare(settings(num_workers=2))
  alone, _ = prepare(settings(data_dir=settings().data_dir + "_alone"))
  for record, wanted in zip(
    read_records(prepared)[1], read_records(alone)[1], strict=True
  ):
    for key, value in wanted.items():
      assert np.array_equal(record[key], value), key
