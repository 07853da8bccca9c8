"""Dropout: how often, by how much, and each element by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifa_jax.models.layers.transformer import Dropout, keep_mask


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


def test_elements_are_dropped_independently():
  keep = np.asarray(keep_mask(jax.random.key(0), 2**15, (20_000, 6)))
  correlation = np.corrcoef(keep.T)
  # Two elements share a random number: its halves must not tell each other.
  assert np.abs(correlation - np.eye(6)).max() < 0.04


def test_seeds_differ_and_no_seed_is_needed_without_training():
  x = jnp.ones((4, 8))
  assert np.any(drop(x, 0.5, seed=0) != drop(x, 0.5, seed=1))
  for module, deterministic in ((Dropout(0.5), True), (Dropout(0.0), False)):
    kept = module.apply({}, x, deterministic=deterministic)
    np.testing.assert_array_equal(kept, x)
