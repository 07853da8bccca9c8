"""Batches with every cache of decoded rows: the same bits, read once."""

import dataclasses
import logging
import types

import jax
import numpy as np
import pytest
import tiny_run

from ifa_jax.data.pipeline import cache as row_cache
from ifa_jax.data.pipeline import sampling as orders
from ifa_jax.data.pipeline.tfrecord import Shards
from ifa_jax.runtime.forms import FORMS

NUM_TRAIN = tiny_run.NUM_ROWS.num_train
BUCKETS = (20, 24, 26, 28, 32)
CACHES = [("host", "pmap"), *(("device", form) for form in FORMS)]


@pytest.fixture(name="make")
def experiments(build):
  """Builds an experiment that keeps rows in some place."""

  def make(cache, form="pmap"):
    # Packed, the rows of one process among several could not be compared.
    data = {"cache": cache, "text_buckets": BUCKETS, "packed_buckets": ()}
    return build(data=data, train={"parallel": form})

  return make


@pytest.fixture(name="reads")
def rows_read(monkeypatch):
  """Lists the records that are read."""
  read, found = Shards.__getitem__, []
  monkeypatch.setattr(
    Shards,
    "__getitem__",
    lambda s, row: (found.append(int(row)), read(s, row))[1],
  )
  return found


def epoch(number, start=0, batch_size=12):
  order = orders.training_order(NUM_TRAIN, batch_size, 7, number)
  return order[start:]


def moved_rows():
  return orders.visual_shuffle(NUM_TRAIN, 3)


def fields_of(batch, parallel):
  """Returns a batch's arrays, all as `Parallel.split` lays them out."""
  return jax.tree.map(np.asarray, parallel.split(batch))


def assert_same(found, wanted, parallel):
  assert len(found) == len(wanted)
  for one, other in zip(found, wanted, strict=True):
    jax.tree.map(
      np.testing.assert_array_equal,
      fields_of(one, parallel),
      fields_of(other, parallel),
    )


@pytest.mark.parametrize(("cache", "form"), CACHES)
def test_batches_are_the_same_and_no_row_is_read_again(
  make, reads, cache, form
):
  plain, cached = make("none", form), make(cache, form)
  split = plain.data.split("train")
  # In the middle of an epoch, whole ones with filler, other rows' pictures.
  for order, sources in (
    (epoch(0, start=2), None),
    (epoch(0), None),
    (epoch(1), moved_rows()),
    (epoch(2, batch_size=9), None),
  ):
    wanted = list(plain.data.batches(split, order, sources))
    reads.clear()
    found = list(
      cached.data.batches(cached.data.split("train"), order, sources)
    )
    assert_same(found, wanted, plain.parallel)
    assert len(reads) == len(set(reads))
    if len(order) < 4:
      resumed = [*reads]
    elif sources is None and order.shape[1] == 12:
      assert sorted(reads + resumed) == [*range(NUM_TRAIN)]
    else:
      assert reads == []


def test_other_rows_pictures_are_kept_apart_from_texts(make, reads):
  plain, cached = make("none"), make("host")
  split, sources = plain.data.split("train"), moved_rows()
  wanted = list(plain.data.batches(split, epoch(0), sources))
  reads.clear()
  found = list(
    cached.data.batches(cached.data.split("train"), epoch(0), sources)
  )
  assert_same(found, wanted, plain.parallel)
  # Once as a text, once as a picture, unless both at one step.
  assert {reads.count(row) for row in range(NUM_TRAIN)} <= {1, 2}
  reads.clear()
  wanted = list(plain.data.batches(split, epoch(1)))
  reads.clear()
  found = list(cached.data.batches(cached.data.split("train"), epoch(1)))
  assert_same(found, wanted, plain.parallel)
  assert reads == []


def test_pictures_on_the_devices_are_numpy_where_that_is_asked_for(make):
  built = make("device", "jit")
  split = built.data.split("train")
  (there, *_), (here, *_) = (
    list(built.data.batches(split, epoch(0), on_host=on_host))
    for on_host in (False, True)
  )
  assert isinstance(there.image, jax.Array)
  assert isinstance(here.image, np.ndarray)
  assert isinstance(there.image_mask, np.ndarray)
  assert_same([there], [here], built.parallel)


def test_splits_do_not_share_rows(make):
  plain, cached = make("none"), make("host")
  for name in ("dev", "test", "dev"):
    order = orders.evaluation_order(plain.data.num_rows(name), 5)
    wanted = list(plain.data.batches(plain.data.split(name), order))
    found = list(cached.data.batches(cached.data.split(name), order))
    assert_same(found, wanted, plain.parallel)


def test_processes_cut_texts_alike(make, monkeypatch):
  alone = make("host")
  split, order = alone.data.split("train"), epoch(0)
  whole = list(alone.data.batches(split, order))
  assert len({batch.input_ids.shape[1] for batch in whole}) > 1
  parts = []
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  for index in range(2):
    monkeypatch.setattr(jax, "process_index", lambda index=index: index)
    built = make("host")
    parts.append(list(built.data.batches(built.data.split("train"), order)))
  own = [[x.attention_mask.sum(1).max() for x in part] for part in parts]
  assert own[0] != own[1]
  for batch, *halves in zip(whole, *parts, strict=True):
    jax.tree.map(
      lambda x, *y: np.testing.assert_array_equal(x, np.concatenate(y)),
      batch,
      *halves,
    )


def test_texts_in_another_layout_have_lengths_of_their_own(make, monkeypatch):
  built = make("host")
  split = built.data.split("train")
  texts = [split.describe(row) for row in range(NUM_TRAIN)]
  lengths = [len(text.encoded.input_ids) for text in texts]
  assert split.text_lengths.tolist() == lengths
  doubled = [
    text._replace(encoded=text.encoded._replace(input_ids=[0] * 2 * length))
    for text, length in zip(texts, lengths, strict=True)
  ]
  monkeypatch.setattr(built.data.inputs, "texts", lambda split: doubled)
  longest = lambda order: built.data._longest(split, np.array(order), None)  # noqa: E731
  assert longest([[3, 5], [4, -1]]).text.tolist() == [
    max(lengths[3], lengths[5]),
    max(lengths[4], lengths[0]),
  ]
  data = dataclasses.replace(built.config.data, layout="opennre")
  config = dataclasses.replace(built.config, data=data)
  monkeypatch.setattr(built.data, "_config", config)
  assert longest([[3, 5]]).text.tolist() == [2 * max(lengths[3], lengths[5])]


def fake_memory(monkeypatch, host, device=None):
  monkeypatch.setattr(row_cache.host_cache, "free_memory", lambda: host)
  if device is not None:
    stats = {"bytes_limit": device + 5, "bytes_in_use": 5}
    chip = types.SimpleNamespace(memory_stats=lambda: stats)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda: [chip, chip])


@pytest.mark.parametrize(
  ("host", "device", "place"),
  [
    (200, None, "host"),
    (199, None, "none"),
    (200, 200, "device"),
    (200, 199, "host"),
    (199, 199, "none"),
  ],
)
def test_rows_are_kept_where_half_of_the_room_holds_them(
  monkeypatch, host, device, place
):
  fake_memory(monkeypatch, host, device)
  assert row_cache.choose(100) == place


def test_the_choice_is_logged(make, monkeypatch, caplog):
  monkeypatch.setattr(row_cache, "_LOGGED_BYTES", 0)
  with caplog.at_level(logging.INFO, "ifa_jax"):
    built = make("auto")
    fake_memory(monkeypatch, 1 << 40)
    next(built.data.batches(built.data.split("train"), epoch(0)))
  assert "Decoded pictures: 0.0 GB, cache host" in caplog.text
