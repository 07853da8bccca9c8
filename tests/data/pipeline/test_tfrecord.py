"""Random access to TFRecord files that TensorFlow wrote."""

import pathlib
import struct
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from ifa_jax.data.pipeline.tfrecord import Shards

# Bytes around a record's data: length with its checksum, the data's checksum.
HEADER, CHECKSUM = 12, 4


def write(path, records):
  with tf.io.TFRecordWriter(str(path)) as writer:
    for record in records:
      writer.write(record)
  return str(path)


def random_records(seed, lengths):
  rng = np.random.default_rng(seed)
  return [rng.bytes(n) for n in lengths]


@pytest.fixture(name="records")
def some_records():
  return random_records(0, [0, 1, 7, 300, 70_000, 5])


@pytest.fixture(name="paths")
def shard_paths(tmp_path, records):
  return [
    write(tmp_path / "a-0", records[:4]),
    write(tmp_path / "a-1", []),
    write(tmp_path / "a-2", records[4:]),
  ]


def test_random_access_equals_sequential_reading(paths, records):
  shards = Shards(paths)
  sequential = list(tf.data.TFRecordDataset(paths).as_numpy_iterator())
  assert sequential == records
  assert len(shards) == len(records)
  for row in (5, 0, 3, 3, 1, 4, 2):
    assert shards[row] == sequential[row]
  assert shards[np.int64(4)] == sequential[4]


def test_a_row_beyond_the_last_is_an_error(paths):
  with pytest.raises(IndexError):
    Shards(paths)[6]


def test_an_empty_file_has_no_records(paths):
  assert len(Shards([paths[1]])) == 0
  assert len(Shards([])) == 0


def flip(path, position):
  data = bytearray(pathlib.Path(path).read_bytes())
  data[position] ^= 1
  pathlib.Path(path).write_bytes(data)


def test_a_flipped_bit_in_the_data_is_found_by_reading(paths, records):
  begin = sum(HEADER + len(r) + CHECKSUM for r in records[:3])
  for position in (begin + HEADER + 100, begin + HEADER + 300):
    flip(paths[0], position)
    shards = Shards(paths)
    with pytest.raises(ValueError, match="a-0: the record at byte") as error:
      shards[3]
    assert str(begin + HEADER) in str(error.value)
    assert shards[2] == records[2]
    flip(paths[0], position)
  assert Shards(paths)[3] == records[3]


@pytest.mark.parametrize("position", [0, 7, 8, 11])
def test_a_flipped_bit_in_a_header_is_found_by_opening(paths, position):
  flip(paths[2], position)
  with pytest.raises(
    ValueError, match="a-2: damaged or truncated after byte 0"
  ):
    Shards(paths)


@pytest.mark.parametrize("missing", [1, 4, 8, 9, 20])
def test_a_truncated_file_is_found_by_opening(paths, missing):
  path = pathlib.Path(paths[2])
  path.write_bytes(path.read_bytes()[:-missing])
  with pytest.raises(ValueError, match="a-2: damaged or truncated"):
    Shards(paths)


def test_a_file_truncated_later_is_found_by_reading(paths):
  shards = Shards(paths)
  path = pathlib.Path(paths[2])
  path.write_bytes(path.read_bytes()[:-2])
  with pytest.raises(ValueError, match="a-2: the record at byte"):
    shards[5]


def test_a_length_beyond_the_file_is_not_allocated(tmp_path, paths):
  # A valid header of a record of 2^60 bytes.
  length = struct.pack("<Q", 2**60)
  header = pathlib.Path(write(tmp_path / "b", [length])).read_bytes()
  path = tmp_path / "huge"
  # The data's checksum in `header` is that of the eight bytes of the length.
  path.write_bytes(length + header[-CHECKSUM:])
  with pytest.raises(ValueError, match="huge: damaged or truncated"):
    Shards([str(path)])


def test_threads_read_at_once(tmp_path):
  records = random_records(1, [2_000] * 200)
  shards = Shards([write(tmp_path / "a", records)])
  rows = np.random.default_rng(0).integers(0, 200, 2_000)
  with futures.ThreadPoolExecutor(8) as pool:
    found = list(pool.map(shards.__getitem__, rows))
  assert found == [records[row] for row in rows]


def test_files_are_closed_with_their_reader(paths):
  handles = pathlib.Path("/proc/self/fd")
  if not handles.is_dir():
    pytest.skip("requires /proc")
  count = lambda: len(list(handles.iterdir()))  # noqa: E731
  before = count()
  shards = Shards(paths)
  assert shards[0] + shards[4]
  assert count() == before + len(paths)
  del shards
  assert count() == before
