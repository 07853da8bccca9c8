"""Packed texts give the same numbers as padded ones."""

import functools

import jax
import numpy as np
import pytest
import tiny
from gradients import logits_and_gradient

from ifa_jax import models
from ifa_jax.batch import pack_text
from ifa_jax.models.baselines.bert import BertConfig
from ifa_jax.models.layers.packing import packing_of

pytestmark = pytest.mark.slow

PAPER = tiny.tiny_config(num_layers=3)
MODELS = {
  "both streams": PAPER,
  "no text attention": models.replace(PAPER, text_attention=False),
  "text only": models.replace(PAPER, vision=None),
  "cls": BertConfig(PAPER.text, "cls", num_relations=5, head_dropout_rate=0.0),
}
# The last text fills its row, as the last index does that filler must not take.
LENGTHS = [9, 4, 6, 12]


def short_batch(lengths=LENGTHS):
  """Returns posts of these lengths, the markers included."""
  batch = tiny.random_batch(PAPER, len(lengths))
  lengths = np.array(lengths)
  last = lengths - 1
  return batch.replace(
    attention_mask=np.arange(batch.input_ids.shape[1]) < lengths[:, None],
    head_start=np.minimum(batch.head_start, last),
    tail_start=np.minimum(batch.tail_start, last),
  )


@pytest.mark.parametrize(
  ("name", "stacked"),
  [
    ("both streams", True),
    ("no text attention", False),
    ("text only", False),
    ("cls", True),
  ],
)
def test_logits_and_gradient_are_those_of_padded_texts(name, stacked):
  batch = short_batch()
  packed = pack_text(batch, (8, 10))
  assert packed.packed.shape == (32,)
  wanted = logits_and_gradient(MODELS[name], batch, stacked)
  found = logits_and_gradient(MODELS[name], packed, stacked)
  close = functools.partial(np.testing.assert_allclose, rtol=0, atol=5e-6)
  jax.tree.map(close, found, wanted)
  assert max(np.abs(x).max() for x in jax.tree.leaves(wanted[1])) > 1e-3


@pytest.mark.parametrize("name", ["both streams", "cls"])
def test_ids_of_padding_are_ignored(name):
  packed = pack_text(short_batch(), (8,))
  ids = np.where(packed.attention_mask, packed.input_ids, 7)
  model, params = (
    models.build(MODELS[name]),
    tiny.perturbed_params(MODELS[name]),
  )
  run = jax.jit(lambda batch: model.apply({"params": params}, batch).logits)
  np.testing.assert_array_equal(run(packed), run(packed.replace(input_ids=ids)))


# With one place left, and with none.
@pytest.mark.parametrize("lengths", [LENGTHS, [10, 4, 6, 12]])
def test_tokens_are_packed_in_order_and_unpacked(lengths):
  batch, count = short_batch(lengths), sum(lengths)
  packed = pack_text(batch, (8,))
  places = np.flatnonzero(batch.attention_mask)
  np.testing.assert_array_equal(packed.packed[:count], places)
  assert (packed.packed[count:] == batch.input_ids.size).all()
  packing = packing_of(packed)
  ids = packing.ids(batch.input_ids)
  tokens = batch.input_ids[batch.attention_mask]
  np.testing.assert_array_equal(ids[:count], tokens)
  assert not np.any(ids[count:])
  back = packing.unpack(ids.astype(np.float32))
  np.testing.assert_array_equal(
    back, np.where(batch.attention_mask, batch.input_ids, 0)
  )
  np.testing.assert_array_equal(packing.pack(back), ids)
  position = np.concatenate([np.arange(n) for n in lengths])
  np.testing.assert_array_equal(packing.positions()[:count], position)


def test_models_that_see_padding_do_not_pack():
  assert PAPER.packs_texts
  assert not models.replace(PAPER, fusion="released").packs_texts


def first_batch(built):
  """Returns the first training batch of an experiment."""
  split = built.data.split("train")
  return next(iter(built.data.batches(split, np.arange(12)[None])))


def test_only_batches_of_a_single_device_are_packed(build, monkeypatch):
  buckets = {"data": {"packed_buckets": (20, 39)}}
  batch = first_batch(build(**buckets))
  room = 20 if batch.attention_mask.sum() <= 20 * 12 else 39
  assert batch.packed.shape == (room * 12,)
  assert first_batch(build(data={"packed_buckets": ()})).packed is None
  assert first_batch(build(**buckets, train={"num_slices": 2})).packed is None
  built = build(**buckets)
  monkeypatch.setattr(jax, "device_count", lambda: 2)
  assert first_batch(built).packed is None
