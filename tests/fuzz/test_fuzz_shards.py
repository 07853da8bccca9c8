"""Shards that are not as they were written: found before a batch has them."""

import collections
import json
import pathlib
import shutil

import fuzzing
import numpy as np
import pytest
from hypothesis import strategies as st

from ifa_jax.data import schema
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.data.pipeline.tfrecord import Shards
from ifa_jax.training import experiment

CAUGHT = "prepare the dataset again|prepare it again"


@pytest.fixture
def prepared(data_dir, tmp_path) -> pathlib.Path:
  """A copy of the session's dataset."""
  (folder,) = data_dir.glob("mnre/clean/*")
  shutil.copytree(folder, tmp_path / "mnre" / "clean" / folder.name)
  return tmp_path / "mnre" / "clean" / folder.name


def shard(prepared, split="train"):
  (path,) = prepared.glob(f"*-{split}.tfrecord-*")
  return path


def rewrite(path, change):
  path.write_bytes(change(path.read_bytes()))


def test_any_damage_is_found_by_opening_or_by_reading(tmp_path, thorough):
  # As TensorFlow writes them; `test_shards` compares.
  import tensorflow as tf

  records = [np.random.default_rng(n).bytes(40 * n) for n in range(4)]
  path = tmp_path / "a.tfrecord"
  with tf.io.TFRecordWriter(str(path)) as writer:
    for record in records:
      writer.write(record)
  sound = path.read_bytes()
  outcomes = []

  def read():
    shards = Shards([str(path)])
    return [shards[row] for row in range(len(shards))]

  def body(content):
    path.write_bytes(content)
    found = fuzzing.read(read, tmp_path, "a.tfrecord: ")
    outcomes.append(type(found))
    if not isinstance(found, Exception):
      # Whole records may be gone or doubled, which their number shows.
      assert all(record in records for record in found)
      assert content == sound or len(found) != len(records)

  contents = st.one_of(fuzzing.damaged(sound), st.binary(max_size=99))
  fuzzing.check(body, contents, thorough=thorough, few=200)
  assert ValueError in outcomes


def test_no_batch_holds_a_row_of_a_damaged_record(prepared, build):
  """One flipped bit in the middle of the file; all rows are asked for."""
  path = shard(prepared)
  sound = Split(str(prepared), "train")
  geometry = build(data={"data_dir": str(prepared)}).data.geometry
  rows = sampling.evaluation_order(len(sound), 5)
  wanted = [batch.input_ids.copy() for batch in sound.batches(rows, geometry)]
  place = path.stat().st_size // 2
  rewrite(path, lambda x: x[:place] + bytes([x[place] ^ 1]) + x[place + 1 :])
  batches, found = Split(str(prepared), "train").batches(rows, geometry), []
  keep = lambda batch: found.append(batch.input_ids.copy())  # noqa: E731
  with pytest.raises(ValueError, match=r"split 'train': .*at byte \d+ is dam"):
    collections.deque(map(keep, batches), maxlen=0)
  assert len(found) < len(wanted)
  for ids, sound_ids in zip(found, wanted, strict=False):
    np.testing.assert_array_equal(ids, sound_ids)


def drop_last_record(path):
  """Cuts a file exactly before its last record."""
  shards = Shards([str(path)])
  last = len(shards[len(shards) - 1]) + 16
  rewrite(path, lambda content: content[:-last])


def swap(path):
  """Puts the test split's records in place of the training ones."""
  shutil.copy(shard(path.parent, "test"), path)


def add_shard(path):
  shutil.copy(path, path.with_name(path.name.replace("-00000", "-00001")))


SPOILED = {
  "cut off": lambda path: rewrite(path, lambda x: x[:-5]),
  "last record gone": drop_last_record,
  "emptied": lambda path: rewrite(path, lambda x: b""),
  "removed": lambda path: path.unlink(),
  "another split's": swap,
  "one too many": add_shard,
  "a flipped length": lambda path: rewrite(path, lambda x: b"\1" + x[1:]),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_run_does_not_start_on_spoiled_shards(prepared, build, how):
  SPOILED[how](shard(prepared))
  with pytest.raises(ValueError, match=f"{CAUGHT}|got none") as caught:
    build(data={"data_dir": str(prepared)}).data.split("train")
  assert str(prepared) in str(caught.value)
  assert len(str(caught.value).splitlines()) == 1


def change_json(path, **changes):
  path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_another_builders_version_is_refused(prepared, build):
  change_json(
    prepared / "metadata.json", format_version=schema.FORMAT_VERSION - 1
  )
  with pytest.raises(ValueError, match=r"expected record format \d, got"):
    build(data={"data_dir": str(prepared)})


def test_sound_shards_are_read(prepared, build):
  built = build(data={"data_dir": str(prepared)})
  assert isinstance(built, experiment.Experiment)
  assert len(built.data.split("train")) == built.prepared.num_rows["train"]
