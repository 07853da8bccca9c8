"""Systems that read captions against plain numpy, with perturbed weights."""

import dataclasses
import functools

import jax
import numpy as np
import numpy_captions
import pytest
from flax import traverse_util

from ifa_jax import batch as batches
from ifa_jax.batch import Batch
from ifa_jax.models import ModelConfig, TextConfig, build, parameters
from ifa_jax.models.baselines.bert import BertConfig
from ifa_jax.models.ifaformer import model as ifaformer
from ifa_jax.models.ifaformer.caption import CaptionConfig
from ifa_jax.models.ifaformer.layer_pair import KeyBiases, Streams
from ifa_jax.models.layers.layer_layout import LayerLayout

pytestmark = pytest.mark.usefixtures("fast_compilation")

TOLERANCE = 5e-6  # Of the size of the logits.
HEADS, TEXT_LEN, CAPTION_LEN = 4, 10, 7
TEXT = TextConfig(
  vocab_size=40,
  hidden_dim=24,
  num_layers=3,
  num_heads=HEADS,
  mlp_dim=40,
  max_len=20,
)
STREAMS = CaptionConfig(text=TEXT, caption=TEXT, num_relations=6)
DEAF = dataclasses.replace(STREAMS, text_attention=False)
SEGMENT = BertConfig(text=TEXT, num_relations=6, caption=True)


@functools.cache
def perturbed(config):
  """Returns parameters in which no norm is 1 and no bias is 0."""
  flat = traverse_util.flatten_dict(
    parameters.init_params(config, jax.random.key(0))
  )
  rng = np.random.default_rng(0)
  noisy = {
    path: np.asarray(leaf) + rng.normal(0, 0.2, leaf.shape).astype(np.float32)
    for path, leaf in flat.items()
  }
  return traverse_util.unflatten_dict(noisy)


def make_batch(seed=0):
  """Returns three rows; the second has no caption."""
  rng = np.random.default_rng(seed)
  mask = np.arange(TEXT_LEN) < np.array([[10], [6], [8]])
  seen = np.arange(CAPTION_LEN) < np.array([[7], [0], [4]])
  draw = lambda m: np.where(m, rng.integers(1, 40, m.shape), 0)  # noqa: E731
  return Batch(
    input_ids=draw(mask).astype(np.int32),
    attention_mask=mask,
    token_type_ids=np.zeros(mask.shape, np.int32),
    head_start=np.array([1, 2, 5], np.int32),
    tail_start=np.array([7, 4, 1], np.int32),
    caption_ids=draw(seen).astype(np.int32),
    caption_mask=seen,
  )


def as_segment(batch):
  """Returns the batch whose captions follow the texts, without padding."""
  width = TEXT_LEN + CAPTION_LEN
  rows = zip(
    batch.input_ids,
    batch.attention_mask,
    batch.caption_ids,
    batch.caption_mask,
    strict=True,
  )
  ids, types = np.zeros((2, 3, width), np.int32)
  mask = np.zeros((3, width), bool)
  for i, (text, real, caption, seen) in enumerate(rows):
    both = [*text[real], *caption[seen]]
    ids[i, : len(both)], mask[i, : len(both)] = both, True
    types[i, real.sum() : len(both)] = 1
  return dataclasses.replace(
    batch,
    input_ids=ids,
    attention_mask=mask,
    token_type_ids=types,
    caption_ids=None,
    caption_mask=None,
  )


@functools.cache
def applied(config, capture):
  model = build(config)
  return jax.jit(
    lambda params, batch: model.apply(
      {"params": params}, batch, capture=capture
    )
  )


def apply(config, batch, params=None, capture=False):
  return applied(config, capture)(params or perturbed(config), batch)


def assert_near(ours, theirs):
  gap = np.abs(np.asarray(ours) - theirs).max()
  assert gap <= TOLERANCE * np.abs(theirs).max()


@pytest.mark.parametrize("config", [STREAMS, DEAF], ids=["whole", "deaf"])
def test_two_streams_are_those_of_equation_two(config):
  batch = make_batch()
  logits, states = numpy_captions.streams(config, perturbed(config), batch)
  assert_near(apply(config, batch).logits, logits)
  output = apply(config, batch, capture=True)
  assert_near(output.logits, logits)
  for i, (text, caption) in enumerate(states):
    real, seen = batch.attention_mask, batch.caption_mask
    assert_near(output.text_hidden[i][real], text[real])
    assert_near(output.visual_hidden[i][seen], caption[seen])


def test_gradients_are_those_of_finite_differences_of_the_numpy_form():
  batch, params = make_batch(), perturbed(STREAMS)
  weights = np.random.default_rng(1).normal(size=(3, 6))
  objective = lambda p: (apply(STREAMS, batch, p).logits * weights).sum()  # noqa: E731
  ours = traverse_util.flatten_dict(jax.grad(objective)(params), sep="/")
  for path in (
    "caption/embed/word/embedding",
    "caption/layer_1/attention/value/kernel",
    "caption/layer_0/mlp_in/bias",
    "text/layer_2/attention/query/kernel",
  ):
    gradient = np.asarray(ours[path])
    place = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    ends = []
    for step in (1e-6, -1e-6):
      moved = traverse_util.flatten_dict(params, sep="/")
      moved = {k: np.array(x, np.float64) for k, x in moved.items()}
      moved[path][place] += step
      moved = traverse_util.unflatten_dict(moved, sep="/")
      logits, _ = numpy_captions.streams(STREAMS, moved, batch)
      ends.append((logits * weights).sum())
    expected = (ends[0] - ends[1]) / 2e-6
    assert gradient[place] == pytest.approx(expected, rel=1e-4)


def test_a_caption_as_second_segment_is_bert_on_both():
  batch = as_segment(make_batch())
  assert_near(
    apply(SEGMENT, batch).logits,
    numpy_captions.segment(SEGMENT, perturbed(SEGMENT), batch),
  )


def test_without_captions_both_read_the_text_alone():
  batch = make_batch()
  text = ModelConfig(text=TEXT, vision=None, num_relations=6)
  params = {k: x for k, x in perturbed(STREAMS).items() if k != "caption"}
  alone = apply(text, batch, params).logits
  blank = batches.blank_pictures(batch)
  assert_near(apply(STREAMS, blank).logits, alone)
  # The second row has none anyway.
  moved = np.abs(apply(STREAMS, batch).logits - alone).max(axis=1)
  assert moved[1] < 1e-5
  assert moved[[0, 2]].min() > 1e-3
  mtb = dataclasses.replace(SEGMENT, caption=False)
  alone = apply(mtb, batch, perturbed(SEGMENT)).logits
  segment = as_segment(batch)
  assert_near(apply(SEGMENT, batches.blank_pictures(segment)).logits, alone)
  moved = np.abs(apply(SEGMENT, segment).logits - alone).max(axis=1)
  assert moved[1] < 1e-5
  assert moved[[0, 2]].min() > 1e-3


def test_padding_of_captions_changes_nothing():
  batch = make_batch()
  wide = dataclasses.replace(
    batch,
    caption_ids=np.pad(batch.caption_ids, ((0, 0), (0, 25)), constant_values=3)[
      :, : TEXT.max_len
    ],
    caption_mask=np.pad(batch.caption_mask, ((0, 0), (0, 25)))[
      :, : TEXT.max_len
    ],
  )
  assert_near(apply(STREAMS, wide).logits, apply(STREAMS, batch).logits)
  assert batches.trim_captions(wide).caption_ids.shape[1] == 16
  assert batches.trim_captions(wide, 17).caption_ids.shape[1] == TEXT.max_len


@pytest.mark.parametrize("config", [STREAMS, SEGMENT], ids=["two", "one"])
def test_packed_and_stacked_layers_compute_the_same(config):
  batch = make_batch() if config is STREAMS else as_segment(make_batch())
  stacked = LayerLayout(True).convert(perturbed(config))
  packed = batches.pack_text(batch, (9, 16))
  assert packed.packed is not None
  plain = apply(config, batch).logits
  assert_near(apply(config, packed, stacked).logits, plain)
  # A blanked caption stays among the packed tokens.
  blank = batches.blank_pictures(packed)
  unpacked = batches.blank_pictures(batch)
  assert_near(
    apply(config, blank, stacked).logits, apply(config, unpacked).logits
  )


def test_stacked_streams_drop_out_apart():
  layer = perturbed(STREAMS)["text"]["layer_0"]
  hidden = np.random.default_rng(0).normal(size=(1, 5, 24)).astype(np.float32)
  pair = ifaformer._bind_pair(STREAMS, (layer, layer), jax.random.key(0), None)
  same, none = Streams(hidden, hidden), KeyBiases(*np.zeros((2, 1, 10)))
  text, caption, _ = pair.run(same, none, train=False)[0]
  np.testing.assert_allclose(text, caption, atol=1e-5)
  text, caption, _ = pair.run(same, none, train=True)[0]
  assert np.abs(text - caption).mean() > 0.1


def test_attention_to_both_adds_up_to_one():
  output = apply(STREAMS, make_batch(), capture=True)
  assert output.text_attention.shape == (3, 3, 10, CAPTION_LEN + 10)
  np.testing.assert_allclose(output.text_attention.sum(-1), 1, atol=1e-6)
  assert not output.text_attention[:, 1, :, :CAPTION_LEN].any()


@pytest.mark.parametrize("field", ["hidden_dim", "num_layers", "vocab_size"])
def test_streams_of_other_sizes_are_refused(field):
  other = dataclasses.replace(TEXT, **{field: 2 * getattr(TEXT, field)})
  message = rf"model.caption.{field}: expected the text stream's \d+, got \d+"
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(STREAMS, caption=other)
