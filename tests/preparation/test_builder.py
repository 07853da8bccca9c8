import io
import json
import pathlib
import re
import socket
import subprocess
import sys

import command_lines
import numpy as np
import pytest
import raw_tree
from PIL import Image

from ifa_jax.data import schema
from ifa_jax.data.images import decode
from ifa_jax.preparation.mnre import command as mnre
from ifa_jax.preparation.mnre.plan import Settings
from ifa_jax.preparation.mnre.prepare import prepare

pytestmark = pytest.mark.slow

ROOT = command_lines.ROOT
SIZES = {"image_size": 32, "patch_size": 8, "num_crops": 2, "num_workers": 1}
ROWS = [
  raw_tree.row(),
  raw_tree.row("Rome, where Bill lives", (2, 3), (0, 1), "b.jpg", "None"),
  raw_tree.row("in Hollywood", (0, 1), (1, 2), "gone.jpg"),
]
PICTURES = {
  "train/a.jpg": raw_tree.jpeg(60, 40, seed=1),
  "test/b.jpg": raw_tree.jpeg(30, 50, seed=2),
}
BOXES = {
  "a.jpg": [
    {"box": [0, 0, 20, 10.5], "score": 0.9, "phrase": "Bill Cosby"},
    {"box": [5, 5, 50, 40], "score": 0.2},
    {"box": [1, 1, 9, 9], "score": 0.4},
    {"box": [2, 2, 9, 9], "score": 0.3},
  ],
  "gone.jpg": [{"box": [0, 0, 9, 9], "score": 1}],
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  return raw_tree.write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def settings(tmp_path, tokenizer):
  """Makes `Settings` over a tree of `ROWS`, the third without a picture."""
  raw_dir = raw_tree.write_tree(tmp_path / "raw", ROWS, PICTURES)
  (tmp_path / "boxes.json").write_text(json.dumps(BOXES))

  def make(**changes):
    values = {
      "raw_dir": raw_dir,
      "data_dir": str(tmp_path / "out"),
      "tokenizer": tokenizer,
      "protocol": "none",
      "missing_pixels": "absent",
      **SIZES,
      **changes,
    }
    return Settings(**values)

  return make


def read(prepared, split="train"):
  import tensorflow_datasets as tfds

  builder = tfds.builder_from_directory(prepared.folder)
  return builder.info, list(tfds.as_numpy(builder.as_dataset(split=split)))


def add_dictionaries(raw_dir):
  listed = {0: ["x.jpg", "y.jpg", "z.jpg"], 1: ["v.jpg"], 2: []}
  folder = pathlib.Path(raw_dir)
  for split in schema.SPLITS:
    path = folder / "txt" / f"mre_{split}_dict.pth"
    path.write_bytes(raw_tree.torch_pickle(listed))
  (folder / "img_vg/train/crops").mkdir(parents=True)
  (folder / "img_vg/train/crops/y.jpg").write_bytes(raw_tree.jpeg(9, 9, 3))


def files_under(folder):
  return sorted(p for p in pathlib.Path(folder).rglob("*") if p.is_file())


def test_records_hold_what_the_tree_says(settings, tmp_path):
  boxes = str(tmp_path / "boxes.json")
  prepared, is_new = prepare(settings(protocol="clean", boxes=boxes))
  assert is_new
  info, records = read(prepared)
  assert prepared.num_rows == dict.fromkeys(schema.SPLITS, 3)
  assert prepared.num_rows == {
    name: split.num_examples for name, split in info.splits.items()
  }
  assert info.features["relation"].names == list(raw_tree.RELATIONS)
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


def test_metadata_names_what_training_must_match(settings, tokenizer, tmp_path):
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
  assert metadata["tokenizer"]["name"] == pathlib.Path(tokenizer).name
  from ifa_jax.data.text.tokenizer import Tokenizer

  saved = Tokenizer.load(pathlib.Path(prepared.folder) / "tokenizer")
  assert saved.sha256 == metadata["tokenizer"]["sha256"]
  assert saved.vocab_size == metadata["tokenizer"]["vocab_size"]


@pytest.mark.parametrize(
  ("policy", "num_crops", "found"),
  [("grey", 2, [2, 1, 0]), ("absent", 2, [1, 0, 0])],
)
def test_released_keeps_the_number_of_crops(settings, policy, num_crops, found):
  asked = settings(
    protocol="released", missing_pixels=policy, num_crops=num_crops
  )
  add_dictionaries(asked.raw_dir)
  prepared, _ = prepare(asked)
  _, records = read(prepared)
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


def test_missing_files_are_listed_before_any_work(settings):
  asked = settings(protocol="released", missing_pixels="error")
  add_dictionaries(asked.raw_dir)
  with pytest.raises(
    ValueError, match="pictures or crops have no file"
  ) as error:
    prepare(asked)
  # Of each split: gone.jpg, x.jpg, v.jpg; y.jpg is there for train only.
  assert str(error.value).startswith("11 pictures or crops have no file (")
  assert "3 in img_org" in str(error.value)
  assert "img_vg/train/crops/x.jpg (ours_train.txt:1)" in str(error.value)
  assert not pathlib.Path(asked.data_dir).exists()


def test_the_same_again_is_left_alone(settings):
  prepared, _ = prepare(settings())
  before = {p: p.stat().st_mtime_ns for p in files_under(prepared.folder)}
  again, is_new = prepare(settings(overwrite=True))
  assert (again, is_new) == (prepared, False)
  assert before == {p: p.stat().st_mtime_ns for p in files_under(again.folder)}


def test_other_settings_need_overwrite(settings):
  prepared, _ = prepare(settings())
  with pytest.raises(ValueError, match="expected text_len 40, got 80"):
    prepare(settings(text_len=40))
  replaced, is_new = prepare(settings(text_len=40, overwrite=True))
  assert is_new
  assert replaced.folder == prepared.folder
  assert replaced.metadata["text_len"] == 40
  # A picture that has come since makes another dataset, too.
  raw_dir = pathlib.Path(settings().raw_dir)
  (raw_dir / "img_org/train/gone.jpg").write_bytes(raw_tree.jpeg())
  with pytest.raises(ValueError, match=r"expected pictures .*, got "):
    prepare(settings(text_len=40))


def test_a_failed_run_leaves_what_was_there(settings):
  prepared, _ = prepare(settings())
  before = [(p, p.read_bytes()) for p in files_under(prepared.folder)]
  broken = pathlib.Path(settings().raw_dir) / "img_org/train/a.jpg"
  broken.write_bytes(b"no picture")
  with pytest.raises(
    ValueError, match=r"ours_train\.txt:1: bad picture: .*a.jpg"
  ):
    prepare(settings(overwrite=True))
  data_dir = pathlib.Path(settings().data_dir)
  assert before == [(p, p.read_bytes()) for p in files_under(data_dir)]


def test_skipped_rows_are_counted_and_listed(settings, tmp_path):
  rows = [*ROWS, "[]", {**ROWS[0], "relation": "/x"}, ROWS[1]]
  raw_dir = raw_tree.write_tree(
    tmp_path / "other", rows, {**PICTURES, "val/gone.jpg": b"no picture"}
  )
  prepared, _ = prepare(settings(raw_dir=raw_dir, on_error="skip"))
  assert prepared.num_rows == dict.fromkeys(schema.SPLITS, 3)
  _, records = read(prepared)
  assert [r["id"] for r in records] == [b"train/1", b"train/2", b"train/6"]
  counts = prepared.metadata["counts"]["val"]["skipped"]
  reasons = ["bad picture", "not a dict literal", "unknown relation"]
  assert counts == dict.fromkeys(reasons, 1)
  text = (pathlib.Path(prepared.folder) / "skipped.jsonl").read_text()
  listed = [json.loads(line) for line in text.splitlines()]
  assert len(listed) == 9
  assert {row["split"] for row in listed} == set(schema.SPLITS)
  lengths = schema.read_text_lengths(prepared.folder, "train", 3)
  assert lengths.tolist() == [len(r["input_ids"]) for r in records]
  assert {"ours_val.txt:3", "ours_val.txt:4"} <= {
    row["where"] for row in listed
  }


def test_rows_without_pixels_can_be_skipped(settings):
  prepared, _ = prepare(settings(missing_pixels="error", on_error="skip"))
  assert prepared.num_rows == dict.fromkeys(schema.SPLITS, 2)
  counts = prepared.metadata["counts"]["train"]
  assert counts["skipped"] == {"missing pixels": 1}


def test_a_box_beside_the_picture_is_named(settings, tmp_path):
  path = tmp_path / "outside.json"
  outside = {"a.jpg": [{"box": [60, 0, 70, 9], "score": 1}]}
  path.write_text(json.dumps(outside))
  with pytest.raises(
    ValueError, match=r"boxes of 'a\.jpg', box 0: .* nothing of"
  ):
    prepare(settings(boxes=str(path)))


def test_entities_too_long_for_the_text_are_named(settings):
  with pytest.raises(
    ValueError, match=r"ours_train\.txt:1: text too long: the"
  ):
    prepare(settings(text_len=11))


def test_read_metadata_chooses_by_protocol(settings, tmp_path):
  data_dir = settings().data_dir
  with pytest.raises(
    ValueError, match=r"no prepared dataset; .*data_prep\.mnre"
  ):
    schema.read_metadata(data_dir)
  first, _ = prepare(settings())
  assert schema.read_metadata(data_dir) == first
  assert schema.read_metadata(first.folder) == first
  clean = settings(protocol="clean", boxes=str(tmp_path / "boxes.json"))
  second, _ = prepare(clean)
  with pytest.raises(ValueError, match="wanted one dataset, found mnre/clean/"):
    schema.read_metadata(data_dir)
  assert schema.read_metadata(data_dir, "clean") == second
  with pytest.raises(ValueError, match="wanted protocol released, found mnre/"):
    schema.read_metadata(data_dir, "released")


def test_read_metadata_passes_over_killed_runs_and_old_formats(settings):
  prepared, _ = prepare(settings())
  folder = pathlib.Path(prepared.folder)
  killed = folder.with_name(".preparing-x")
  folder.rename(killed)
  with pytest.raises(ValueError, match="no prepared dataset"):
    schema.read_metadata(settings().data_dir)
  killed.rename(folder)
  old = {**prepared.metadata, "format_version": 0}
  (folder / "metadata.json").write_text(json.dumps(old))
  with pytest.raises(ValueError, match="record format 0, this version reads 2"):
    schema.read_metadata(settings().data_dir)
  # Beside its successor the old one is passed over.
  folder.rename(folder.with_name("0.0.0"))
  assert prepare(settings())[0] == prepared


@pytest.mark.parametrize(
  "lines", [None, "14\n9\n", "14\n9\n8\n7\n", "a\n9\n8\n"]
)
def test_lengths_of_other_rows_are_refused(tmp_path, lines):
  path = tmp_path / "text_lengths-val.txt"
  if lines is not None:
    path.write_text(lines)
  with pytest.raises(ValueError, match="want the text lengths of 3 rows") as e:
    schema.read_text_lengths(str(tmp_path), "val", 3)
  assert str(path) in str(e.value)


def test_nothing_asks_the_network(settings, monkeypatch):
  def refuse(*args, **kwargs):
    raise AssertionError(f"asked the network for {args}")

  monkeypatch.setattr(socket, "getaddrinfo", refuse)
  monkeypatch.setattr(socket.socket, "connect", refuse)
  _, is_new = prepare(settings())
  assert is_new


def test_workers_draw_what_one_process_draws(settings):
  prepared, _ = prepare(settings(num_workers=2))
  alone, _ = prepare(settings(data_dir=settings().data_dir + "_alone"))
  for record, wanted in zip(read(prepared)[1], read(alone)[1], strict=True):
    for key, value in wanted.items():
      assert np.array_equal(record[key], value), key


def test_the_summary_names_every_count(settings, capsys):
  prepared, _ = prepare(settings(missing_pixels="error", on_error="skip"))
  capsys.readouterr()
  mnre.show(prepared, is_new=True)
  shown = capsys.readouterr().out
  assert "Prepared: protocol none, missing pixels error" in shown
  for line in (r"rows +│ +2 │ +2 │ +2", r"skipped: missing pixels +│ +1 │"):
    assert re.search(line, shown), shown
  assert shown.splitlines()[-1] == prepared.folder


def command(settings, **changes):
  """Runs the command in a process of its own, as a user does."""
  flags = {
    "raw_dir": settings.raw_dir,
    "data_dir": settings.data_dir,
    "tokenizer": settings.tokenizer,
    "protocol": settings.protocol,
    **changes,
  }
  return subprocess.run(
    [
      sys.executable,
      "-m",
      "data_prep.mnre",
      *(f"--{name}={value}" for name, value in flags.items()),
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )


@pytest.mark.parametrize(
  ("flag", "status", "message"),
  [
    ({}, 1, "error: ours_val.txt:1: not a dict literal"),
    ({"protocol": "cleanish"}, 2, "error: .*cleanish"),
  ],
)
def test_the_command_fails_with_one_line(settings, flag, status, message):
  path = pathlib.Path(settings().raw_dir) / "txt/ours_val.txt"
  path.write_text("{'token': [\n")
  done = command(settings(), **flag)
  assert done.returncode == status
  assert "Traceback" not in done.stderr
  assert re.match(message, done.stderr.splitlines()[-1]), done.stderr


def test_encoded_squares_are_png_files(settings):
  """Lossless, so that what is trained on is what `fit` returned."""
  import tensorflow as tf

  prepared, _ = prepare(settings())
  (shard,) = pathlib.Path(prepared.folder).glob("*-train.tfrecord-*")
  record = next(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
  features = tf.train.Example.FromString(record).features.feature
  (png,) = features["image"].bytes_list.value
  assert Image.open(io.BytesIO(png)).format == "PNG"
