"""Dropout: its rate, its scale, and the independence of elements."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from ifa_jax import models
from ifa_jax.models import registry
from ifa_jax.models.layers import scan
from ifa_jax.models.layers.transformer import Dropout, keep_mask
from ifa_jax.models.relation_head import RelationHead


def drop(x, rate, seed=0):
  rngs = {"dropout": jax.random.key(seed)}
  return Dropout(rate).apply({}, x, deterministic=False, rngs=rngs)


@pytest.mark.parametrize("length", [64, 63])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_elements_are_zero_at_the_rate_and_scaled_by_its_inverse(length, rate):
  dropped = np.asarray(drop(jnp.ones((500, length)), rate))
  zeros = dropped == 0
  # Five standard deviations.
  slack = 5 * np.sqrt(rate * (1 - rate) / zeros.size)
  assert zeros.mean() == pytest.approx(rate, abs=slack)
  np.testing.assert_allclose(dropped[~zeros], 1 / (1 - rate), rtol=2e-5)


def test_a_rate_next_to_one_keeps_finite_elements():
  assert np.isfinite(drop(jnp.ones((500, 64)), 0.999999)).all()


def test_elements_are_dropped_independently():
  keep = np.asarray(keep_mask(jax.random.key(0), 2**15, (20_000, 6)))
  correlation = np.corrcoef(keep.T)
  # Two elements share a random number, whose halves must be independent.
  assert np.abs(correlation - np.eye(6)).max() < 0.04


def test_an_element_is_dropped_below_the_threshold():
  key, shape = jax.random.key(0), (1, 2)
  bits = int(jax.random.bits(key, (1, 1))[0, 0]) % 2**16
  assert keep_mask(key, bits, shape)[0, 0]
  assert not keep_mask(key, bits + 1, shape)[0, 0]


def test_seeds_differ_and_no_seed_is_needed_without_training():
  x = jnp.ones((4, 8))
  assert np.any(drop(x, 0.5, seed=0) != drop(x, 0.5, seed=1))
  for module, deterministic in ((Dropout(0.5), True), (Dropout(0.0), False)):
    kept = module.apply({}, x, deterministic=deterministic)
    np.testing.assert_array_equal(kept, x)


@pytest.mark.parametrize("remat", [False, True])
def test_each_scanned_layer_has_its_own_key(remat):
  def draw(carry, layer, rng):
    return carry.at[layer].set(jax.random.bits(rng))

  blank, key = jnp.zeros(4, jnp.uint32), jax.random.key(0)
  found = scan.scan_layers(draw, blank, jnp.arange(4), key, remat)
  assert len({*found.tolist()}) == 4
  again = scan.scan_layers(draw, blank, jnp.arange(4), key, remat)
  np.testing.assert_array_equal(found, again)


def test_scanned_layers_run_in_order_and_without_a_key():
  def run(carry, layer, rng):
    assert rng is None
    return 10 * carry + layer

  assert scan.scan_layers(run, 0, jnp.arange(1, 5), None, False) == 1234


# As in the released codes.
@pytest.mark.parametrize("system", registry.SYSTEMS)
def test_the_head_drops_half_by_default(system):
  assert registry.from_dict({"system": system}).head_dropout_rate == 0.5


def test_text_streams_drop_a_tenth_by_default():
  text = models.TextConfig()
  assert (text.dropout_rate, text.attention_dropout_rate) == (0.1, 0.1)


def assert_halved(dropped, kept):
  """Compares an identity head's outputs with and without dropout."""
  dropped, kept = np.asarray(dropped), np.asarray(kept)
  zeros = dropped == 0
  assert 0.35 < zeros.mean() < 0.65
  np.testing.assert_allclose(dropped[~zeros], 2 * kept[~zeros], rtol=1e-5)


def test_dropout_precedes_ifaformers_head():
  config = models.replace(
    tiny.tiny_config(num_layers=1, vision=None),
    num_relations=32,
    head_dropout_rate=0.5,
  )
  batch, params = tiny.random_batch(config, 16), tiny.perturbed_params(config)
  params["relation_head"] = {"kernel": np.eye(32), "bias": np.zeros(32)}
  model = models.build(config)

  def run(train):
    rngs = {"dropout": jax.random.key(0)}
    output = model.apply({"params": params}, batch, train=train, rngs=rngs)
    return output.logits

  assert_halved(run(train=True), run(train=False))


def test_dropout_precedes_the_last_layer_of_the_baselines_head():
  head = RelationHead(32, dropout_rate=0.5)
  params = {"out": {"kernel": np.eye(32), "bias": np.zeros(32)}}
  x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 32)), "f4")

  def run(train):
    rngs = {"dropout": jax.random.key(0)}
    return head.apply({"params": params}, x, train=train, rngs=rngs)

  np.testing.assert_allclose(run(train=False), x, rtol=1e-6)
  assert_halved(run(train=True), x)


def test_captured_layers_drop_out_too():
  config = tiny.tiny_config(num_layers=2)
  text = dataclasses.replace(config.text, attention_dropout_rate=0.5)
  config = models.replace(config, text=text)
  batch = tiny.random_batch(config, 3)
  params = {"params": tiny.perturbed_params(config)}
  apply = functools.partial(
    models.build(config).apply, params, batch, capture=True
  )
  rngs = {"dropout": jax.random.key(0)}
  dropped = apply(train=True, rngs=rngs).text_hidden
  whole = apply(train=False).text_hidden
  # The embeddings have no dropout here.
  np.testing.assert_array_equal(dropped[0], whole[0])
  assert np.abs(dropped[1] - whole[1]).max() > 1e-3
