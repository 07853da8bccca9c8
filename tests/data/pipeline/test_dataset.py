"""Records to batches: padding, masks, buckets, shuffles and errors."""

import numpy as np
import pytest
import tensorflow as tf

from ifa_jax.batch import trim_text
from ifa_jax.data.images import decode
from ifa_jax.data.pipeline import sampling as orders
from ifa_jax.data.pipeline.dataset import Geometry, Split

pytestmark = pytest.mark.slow

SLOTS = (("image", 1, 8), ("grounded", 3, 4), ("detected", 2, 2))
# Of each row: tokens; whole pictures, grounded and detected crops.
ROWS = [(4, 1, 3, 2), (6, 1, 0, 0), (5, 0, 1, 0), (8, 1, 5, 3), (5, 1, 2, 1)]
GEOMETRY = Geometry(text_len=10, slots=SLOTS)
TEXT = (
  "input_ids",
  "attention_mask",
  "token_type_ids",
  "head_start",
  "tail_start",
  "label",
)


def square(row, kind, number, size):
  """Returns pixels that differ by row, kind and number."""
  rng = np.random.default_rng([row, kind, number])
  return rng.integers(0, 256, (size, size, 3), np.uint8)


def token_ids(row):
  return [100 * (row + 1) + i for i in range(ROWS[row][0])]


def record(row):
  """Returns a serialised record, as TFDS writes it."""
  features = {
    "id": [f"train/{row + 1}".encode()],
    "img_id": [b"twitter_\xc3\xa9.jpg"],
    "words": [b"Zo\xc3\xab", b"met", b"Bob", b"."],
    "head_span": [0, 1],
    "tail_span": [2, 3],
    "relation": [row % 3],
    "input_ids": token_ids(row),
    "head_start": [1],
    "tail_start": [2 + row % 2],
  }
  for kind, ((name, _, size), count) in enumerate(
    zip(SLOTS, ROWS[row][1:], strict=True)
  ):
    features[name] = [
      decode.encode_png(square(row, kind, i, size)) for i in range(count)
    ]
  return tf.train.Example(
    features=tf.train.Features(
      feature={key: feature(value) for key, value in features.items()}
    )
  ).SerializeToString()


def feature(values):
  if values and isinstance(values[0], int):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


@pytest.fixture(scope="module", name="folder")
def dataset_folder(tmp_path_factory):
  # A name that a glob would misread.
  folder = tmp_path_factory.mktemp("data") / "mnre[1]"
  folder.mkdir()
  for shard, rows in enumerate([(0, 1, 2), (3, 4)]):
    name = f"mnre-train.tfrecord-{shard:05}-of-00002"
    with tf.io.TFRecordWriter(str(folder / name)) as writer:
      for row in rows:
        writer.write(record(row))
  with tf.io.TFRecordWriter(
    str(folder / "mnre-test.tfrecord-00000-of-00001")
  ) as writer:
    writer.write(record(4))
  return folder


@pytest.fixture(scope="module", name="split")
def train_split(folder):
  return Split(str(folder), "train")


def read(split, order, geometry=GEOMETRY, visual_rows=None):
  """Returns all batches of an order as one list."""
  return list(split.batches(np.array(order), geometry, visual_rows))


@pytest.fixture(scope="module", name="whole")
def all_rows_as_one_batch(split):
  (batch,) = read(split, [range(5)])
  return batch


def test_text_is_padded_and_masked(whole):
  for row, (length, *_) in enumerate(ROWS):
    ids = token_ids(row) + [0] * (10 - length)
    assert whole.input_ids[row].tolist() == ids
    assert whole.attention_mask[row].tolist() == [i < length for i in range(10)]
  assert whole.head_start.tolist() == [1] * 5
  assert whole.tail_start.tolist() == [2, 3, 2, 3, 2]
  assert whole.label.tolist() == [0, 1, 2, 0, 1]
  assert whole.valid.all()
  assert not whole.token_type_ids.any()


def test_fields_have_the_types_that_a_batch_describes(whole):
  for name in TEXT:
    wanted = bool if name == "attention_mask" else np.int32
    assert getattr(whole, name).dtype == wanted
  assert whole.image.dtype == whole.grounded.dtype == np.uint8
  assert whole.image.shape == (5, 8, 8, 3)
  assert whole.grounded.shape == (5, 3, 4, 4, 3)
  assert whole.detected.shape == (5, 2, 2, 2, 3)
  assert whole.valid.dtype == whole.image_mask.dtype == bool


def test_crops_keep_their_order_and_absent_ones_are_blank(whole):
  for row, (_, *counts) in enumerate(ROWS):
    for kind, ((name, slots, size), count) in enumerate(
      zip(SLOTS, counts, strict=True)
    ):
      found, mask = (
        getattr(whole, name)[row],
        getattr(whole, f"{name}_mask")[row],
      )
      if name == "image":
        found, mask = found[None], mask[None]
      assert mask.tolist() == [i < count for i in range(slots)]
      for i in range(slots):
        wanted = square(row, kind, i, size) if i < count else 0
        np.testing.assert_array_equal(
          found[i], np.broadcast_to(wanted, found[i].shape)
        )


def test_batches_follow_the_order(split, whole):
  batches = read(split, [[3, 0], [4, 4], [1, 2]])
  assert [b.input_ids[:, 0].tolist() for b in batches] == [
    [400, 100],
    [500, 500],
    [200, 300],
  ]
  np.testing.assert_array_equal(batches[0].grounded, whole.grounded[[3, 0]])


def test_filler_rows_are_not_valid(split):
  batches = read(split, orders.evaluation_order(5, 3))
  valid = np.concatenate([b.valid for b in batches])
  assert valid.tolist() == [True] * 5 + [False]
  first = np.concatenate([b.input_ids[:, 0] for b in batches])
  assert first[valid].tolist() == [100, 200, 300, 400, 500]


def test_an_empty_order_gives_no_batch(split):
  assert read(split, np.zeros((0, 4), np.int64)) == []


def test_visual_rows_move_only_pictures(split, whole):
  moved = np.array([4, 3, 2, 0, 1])
  batches = read(split, [[1, 3], [0, -1]], visual_rows=moved)
  for batch, rows in zip(batches, ([1, 3], [0, 0]), strict=True):
    for name in TEXT:
      np.testing.assert_array_equal(
        getattr(batch, name), getattr(whole, name)[rows]
      )
    for name, *_ in SLOTS:
      for field in (name, f"{name}_mask"):
        np.testing.assert_array_equal(
          getattr(batch, field), getattr(whole, field)[moved[rows]]
        )


def test_only_the_slots_of_the_geometry_are_read(split):
  (text,) = read(split, [[0]], Geometry(10))
  assert text.image is text.grounded is text.detected is None
  assert text.image_mask is None
  (crops,) = read(split, [[3]], Geometry(10, slots=(("grounded", 1, 4),)))
  assert crops.image is None
  np.testing.assert_array_equal(crops.grounded[0, 0], square(3, 1, 0, 4))


@pytest.mark.parametrize(
  ("rows", "length"), [([0, 2], 5), ([0, 1], 7), ([0, 3], 10), ([0, -1], 5)]
)
def test_buckets_cut_nothing_but_padding(split, whole, rows, length):
  (batch,) = read(split, [rows], Geometry(10, (7, 5), SLOTS))
  rows = np.maximum(rows, 0)
  for name in ("input_ids", "attention_mask", "token_type_ids"):
    field, full = getattr(batch, name), getattr(whole, name)[rows]
    np.testing.assert_array_equal(field, full[:, :length])
    assert not full[:, length:].any()
  np.testing.assert_array_equal(batch.grounded, whole.grounded[rows])


def test_a_bucket_beyond_the_text_changes_nothing(whole):
  batch = trim_text(whole, (64,))
  np.testing.assert_array_equal(batch.input_ids, whole.input_ids)


def test_rows_are_described_in_words(split):
  *described, encoded, caption = split.describe(3)
  assert described == [
    "train/4",
    "twitter_é.jpg",
    ["Zoë", "met", "Bob", "."],
    (0, 1),
    (2, 3),
    {"image": 1, "grounded": 5, "detected": 3},
  ]
  assert encoded.input_ids == token_ids(3)
  assert not any(caption)


def test_a_row_can_be_read_as_it_is_stored(split):
  assert split[3] == record(3)


def test_each_split_has_its_own_shards(folder, split):
  assert len(split) == 5
  assert len(Split(str(folder), "test")) == 1
  with pytest.raises(ValueError, match="expected shards of the split 'val'"):
    Split(str(folder), "val")


def test_a_text_that_does_not_fit_is_refused(split):
  with pytest.raises(ValueError, match="a text is longer than text_len"):
    read(split, [[3]], Geometry(7))


def test_a_damaged_record_is_refused_by_its_file(folder, tmp_path):
  source = folder / "mnre-test.tfrecord-00000-of-00001"
  data = bytearray(source.read_bytes())
  data[len(data) // 2] ^= 1
  damaged = tmp_path / source.name
  damaged.write_bytes(data)
  split = Split(str(tmp_path), "test")
  with pytest.raises(ValueError, match="damaged") as error:
    read(split, [[0]])
  assert str(damaged) in str(error.value)
  assert "Traceback" not in str(error.value)


def test_pictures_of_another_size_are_refused(split):
  with pytest.raises(ValueError, match="split 'train': ") as error:
    read(split, [[0]], Geometry(10, slots=(("grounded", 3, 16),)))
  assert len(str(error.value).splitlines()) == 1
