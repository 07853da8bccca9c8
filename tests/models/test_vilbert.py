"""ViLBERT compared with PyTorch; absent regions and padding are ignored.

Weights are perturbed everywhere, norms and biases too: at init a swapped norm
or a dropped bias would go unseen.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch_vilbert
from torch.nn import functional
from torch_vilbert import Geometry
from vilbert_parity import (
  TOLERANCE,
  assert_close,
  model_config,
  run,
  to_batch,
  to_params,
)

from ifa_jax import models
from ifa_jax.models import TextConfig, parameters
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.baselines.vilbert import POOLINGS, ViLBERTConfig
from ifa_jax.models.encoders.co_attention import CoAttention

pytestmark = pytest.mark.slow

# For tests in which depth does not matter.
SMALL = Geometry(visual_at=(0,), text_at=(1,), text_layers=2, visual_layers=1)
CASES = {
  "as released": (Geometry(), "native_mul"),
  "by entities": (Geometry(), "entity_start"),
  # As many text layers as connections, as with MiniLM.
  "no text layer first": (
    Geometry(text_layers=2, text_at=(0, 1), visual_layers=3),
    "native_mul",
  ),
}


def example(geometry, pooling):
  """Returns config, parameters, batch, and weights and inputs for PyTorch."""
  weights = torch_vilbert.make_weights(geometry)
  weights |= torch_vilbert.make_head(geometry, pooling)
  inputs = torch_vilbert.make_inputs(geometry)
  config = model_config(geometry, pooling)
  return config, to_params(weights, config), to_batch(inputs), weights, inputs


@pytest.mark.parametrize("name", CASES)
def test_states_and_logits_equal_pytorchs(name):
  geometry, pooling = CASES[name]
  config, params, batch, weights, inputs = example(geometry, pooling)
  got = run(config)(params, batch)
  want = torch_vilbert.forward(weights, inputs, geometry, pooling)
  assert_close(got.text_hidden, torch.stack(want["text_hidden"]))
  # States of absent regions are not compared.
  there, states = got.visual_mask, torch.stack(want["visual_hidden"])
  assert_close(
    got.visual_hidden[:, there], states[:, torch.tensor(np.asarray(there))]
  )
  assert_close(got.region_weights, torch.stack(want["co_attention"])[..., 1:])
  assert_close(got.logits, want["logits"])
  connections = len(geometry.text_at)
  assert len(got.text_hidden) == geometry.text_layers + connections + 1
  assert len(got.visual_hidden) == geometry.visual_layers + connections + 1
  np.testing.assert_array_equal(got.visual_mask[:, 1:], batch.region_mask)
  assert got.visual_mask[:, 0].all()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradients_equal_pytorchs(pooling):
  geometry = SMALL
  config, params, batch, weights, inputs = example(geometry, pooling)
  leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
  logits = torch_vilbert.forward(leaves, inputs, geometry, pooling)["logits"]
  functional.cross_entropy(logits, inputs["labels"]).backward()
  zero = torch.zeros_like
  slopes = {
    name: zero(leaf) if leaf.grad is None else leaf.grad
    for name, leaf in leaves.items()
  }
  want = to_params(slopes, config)
  model = models.build(config)

  def loss(params):
    logits = model.apply({"params": params}, batch).logits
    picked = jax.nn.log_softmax(logits)[jnp.arange(len(logits)), batch.label]
    return -jnp.mean(picked)

  got = jax.jit(jax.grad(loss))(params)
  check = functools.partial(np.testing.assert_allclose, rtol=0, atol=TOLERANCE)
  jax.tree.map(check, got, want)
  last = got["visual"]["layer_0"]["mlp_out"]["kernel"]
  # With entity starts the last region states are unused.
  assert np.any(last) == (pooling == "native_mul")


def test_full_size_counts():
  config = ViLBERTConfig(
    text=TextConfig(vocab_size=30522),
    regions=RegionConfig(36, 2048),
    pooling="native_mul",
  )
  sizes = {
    path: math.prod(shape)
    for path, shape in parameters.param_shapes(config).items()
  }
  count = lambda root: sum(  # noqa: E731
    size for path, size in sizes.items() if path.startswith(root)
  )
  assert count("connection_0/") == count("connection_5/") == 14_176_768
  assert count("visual/layer_0/") == count("visual/layer_5/") == 6_301_696
  # With the poolers of both streams, which are 768 and 1024 to 1024.
  assert count("") - count("relation_head/") == 235_705_856
  by_entity = dataclasses.replace(config, pooling="entity_start")
  head = 1536 * 1537 + 23 * 1537
  poolers = 1024 * (768 + 1 + 1024 + 1)
  assert parameters.count_params(by_entity) == 235_705_856 - poolers + head


def test_a_smaller_text_stream():
  """MiniLM: six layers of width 384, a connection before each of them."""
  text = TextConfig(hidden_dim=384, num_layers=6, mlp_dim=1536)
  config = ViLBERTConfig(text=text, regions=RegionConfig(36, 512))
  shapes = parameters.param_shapes(config)
  query = "connection_0/{}/attention/query/kernel"
  assert shapes[query.format("text")] == (384, 1024)
  assert shapes[query.format("visual")] == (1024, 1024)
  assert shapes["connection_0/text/attention/out/kernel"] == (1024, 384)


def test_absent_regions_are_ignored():
  config, params, batch, *_ = example(SMALL, "native_mul")
  absent = ~batch.region_mask[..., None]
  spoiled = batch.replace(
    regions=np.where(absent, np.nan, batch.regions),
    region_boxes=np.where(absent, np.nan, batch.region_boxes),
  )
  got, want = (run(config)(params, x) for x in (spoiled, batch))
  np.testing.assert_array_equal(got.logits, want.logits)
  there = want.visual_mask
  states = [x.visual_hidden[:, there] for x in (got, want)]
  np.testing.assert_array_equal(*states)


def test_present_regions_are_read():
  config, params, batch, *_ = example(SMALL, "native_mul")
  want = run(config)(params, batch).logits
  for field in ("regions", "region_boxes"):
    other = batch.replace(**{field: getattr(batch, field) + 1})
    gap = np.abs(run(config)(params, other).logits - want).max(axis=1)
    assert (gap > 1e-4).tolist() == batch.region_mask.any(axis=1).tolist()


def test_a_batch_without_regions_equals_absent_regions():
  config, params, batch, *_ = example(SMALL, "native_mul")
  absent = batch.replace(region_mask=np.zeros_like(batch.region_mask))
  none = batch.replace(regions=None, region_boxes=None, region_mask=None)
  got, want = (run(config)(params, x) for x in (none, absent))
  np.testing.assert_allclose(got.logits, want.logits, rtol=0, atol=TOLERANCE)
  assert got.region_weights.shape[-1] == 0
  assert not want.region_weights.any()


def test_length_and_values_of_padding_are_ignored():
  config, params, batch, *_ = example(SMALL, "native_mul")

  def grow(x, more):
    return np.pad(x, ((0, 0), (0, more), (0, 0))[: x.ndim])

  text = ("input_ids", "attention_mask", "token_type_ids")
  regions = ("regions", "region_boxes", "region_mask")
  longer = batch.replace(
    **{name: grow(getattr(batch, name), 6) for name in text},
    **{name: grow(getattr(batch, name), 3) for name in regions},
  )
  longer = longer.replace(
    input_ids=np.where(longer.attention_mask, longer.input_ids, 7)
  )
  got, want = (run(config)(params, x).logits for x in (longer, batch))
  np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE)


def test_region_weights_are_a_tokens_attention_to_regions():
  config, params, batch, *_ = example(SMALL, "native_mul")
  shares = np.asarray(run(config)(params, batch).region_weights)
  assert shares.shape == (1, 5, 9, 4)
  assert (shares >= 0).all()
  # The rest is the attention to the whole picture.
  assert (shares.sum(-1) < 1).all()
  there = np.broadcast_to(batch.region_mask[None, :, None], shares.shape)
  assert (shares[there] > 0).all()
  assert not shares[~there].any()


@functools.partial(jax.jit, static_argnums=0)
def train_step(config, params, batch, seed=0):
  """Returns the output with dropout, captured."""
  rngs, model = {"dropout": jax.random.key(seed)}, models.build(config)
  return model.apply(
    {"params": params}, batch, train=True, capture=True, rngs=rngs
  )


def test_every_dropout_applies_only_in_training():
  config, params, batch, *_ = example(SMALL, "native_mul")
  everywhere = model_config(SMALL, "native_mul", dropout=0.3)
  calm, quiet = (run(x)(params, batch).logits for x in (config, everywhere))
  np.testing.assert_allclose(quiet, calm, rtol=0, atol=TOLERANCE)
  first, second, again = (
    train_step(everywhere, params, batch, seed).logits for seed in (0, 1, 0)
  )
  np.testing.assert_array_equal(first, again)
  assert np.abs(first - second).max() > 1e-3


# States of text: embeddings, T0, C0, T1; of regions: embeddings, C0, V0.
@pytest.mark.parametrize(
  ("part", "rate", "stream", "first"),
  [
    ("text", "dropout_rate", "text_hidden", 0),
    ("text", "attention_dropout_rate", "text_hidden", 1),
    ("vision", "dropout_rate", "visual_hidden", 0),
    ("vision", "attention_dropout_rate", "visual_hidden", 2),
    ("connection", "attention_dropout_rate", "text_hidden", 2),
    ("connection", "attention_dropout_rate", "visual_hidden", 1),
  ],
)
def test_a_dropout_rate_changes_states_from_its_layer_on(
  part, rate, stream, first
):
  config, params, batch, *_ = example(SMALL, "native_mul")
  kept = run(config)(params, batch)
  changed = dataclasses.replace(getattr(config, part), **{rate: 0.3})
  config = dataclasses.replace(config, **{part: changed})
  dropped = train_step(config, params, batch)
  gaps = np.abs(getattr(dropped, stream) - getattr(kept, stream))
  gaps = gaps.max(axis=(1, 2, 3))
  assert (gaps[:first] < TOLERANCE).all()
  assert gaps[first] > 1e-3


@pytest.mark.parametrize("changed", ["text", "visual"])
def test_a_connection_drops_out_each_stream_at_its_own_rate(changed):
  config = model_config(SMALL, "native_mul")
  streams = {"text": config.text, "visual": config.vision}
  streams[changed] = dataclasses.replace(streams[changed], dropout_rate=0.3)
  layer = CoAttention(*streams.values(), config.connection, jnp.float32)
  rng = np.random.default_rng(0)
  sizes = {name: (3, 4, x.hidden_dim) for name, x in streams.items()}
  inputs = [rng.normal(size=size) for size in sizes.values()]
  inputs += [np.zeros((3, 4)), np.zeros((3, 4))]
  key = jax.random.key(0)
  params = layer.init(key, *inputs, train=False)
  kept = layer.apply(params, *inputs, train=False)
  dropped = layer.apply(params, *inputs, train=True, rngs={"dropout": key})
  gaps = [np.abs(a - b).max() for a, b in zip(kept, dropped, strict=True)]
  moved = dict(zip(("text", "visual", "weights"), gaps, strict=True))
  assert {name for name, gap in moved.items() if gap > 1e-3} == {changed}


@pytest.mark.parametrize("source", [None, "text", "head"])
def test_the_product_and_the_head_drop_out_at_their_own_rates(source):
  config, params, batch, *_ = example(SMALL, "native_mul")
  text = dataclasses.replace(config.text, dropout_rate=0.3)
  changes = {"text": {"text": text}, "head": {"head_dropout_rate": 0.3}}
  config = dataclasses.replace(config, **changes.get(source, {}))
  got = train_step(config, params, batch)

  def relu_of(name, x, layers=params):
    return np.maximum(x @ layers[name]["kernel"] + layers[name]["bias"], 0)

  head = params["relation_head"]
  product = relu_of("text_pooler", got.text_hidden[-1, :, 0])
  product *= relu_of("visual_pooler", got.visual_hidden[-1, :, 0])
  hidden = relu_of("hidden", product, head)
  kept = hidden @ head["out"]["kernel"] + head["out"]["bias"]
  gap = np.abs(got.logits - kept).max()
  assert gap > 1e-3 if source else gap < TOLERANCE


def test_bfloat16_logits_are_close():
  config, params, batch, *_ = example(SMALL, "native_mul")
  half = dataclasses.replace(config, dtype="bfloat16")
  got = run(half)(params, batch)
  want = run(config)(params, batch)
  assert got.logits.dtype == got.region_weights.dtype == jnp.float32
  assert 0 < np.abs(got.logits - want.logits).max() < 0.1
