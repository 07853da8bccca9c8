"""Training and evaluation steps on one device."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from ifa_jax import models
from ifa_jax.training import eval_step, steps

pytestmark = pytest.mark.slow

CONFIG = tiny.tiny_config(num_layers=1)
DROPPING = tiny.tiny_config(dropout=0.3, num_layers=1, vision=None)
# Its update is the negative gradient.
SGD = optax.sgd(1.0)


@functools.cache
def compiled(config, num_slices=1):
  train_step = steps.TrainStep(models.build(config), SGD, 0, num_slices)
  return jax.jit(train_step)


def start(config):
  return steps.start_state(tiny.perturbed_params(config), SGD)


def gradient(before, after):
  return jax.tree.map(lambda a, b: np.asarray(a - b), before, after)


def assert_close(found, wanted, atol=2e-6):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=atol, rtol=1e-5),
    found,
    wanted,
  )


def probabilities(config, batch):
  evaluate = jax.jit(eval_step.EvalStep(models.build(config)))
  return np.asarray(evaluate(tiny.perturbed_params(config), batch))


def take(batch, rows):
  return jax.tree.map(lambda x: x[rows], batch)


def test_metrics_are_sums_over_valid_rows():
  batch = tiny.random_batch(CONFIG, 8, num_filler=2)
  _, sums = compiled(CONFIG)(start(CONFIG), batch)
  found, label = probabilities(CONFIG, batch)[:6], batch.label[:6]
  losses = -np.log(found[np.arange(6), label].astype(np.float64))
  assert sums["loss"] == pytest.approx(losses.sum(), rel=1e-6)
  assert sums["correct"] == (found.argmax(1) == label).sum()
  assert sums["count"] == 6


def test_update_is_the_gradient_of_the_mean_loss_and_grad_norm_its_norm():
  batch = tiny.random_batch(CONFIG, 8, num_filler=2)
  before = start(CONFIG)
  after, sums = compiled(CONFIG)(before, batch)

  def mean_loss(params):
    output = models.build(CONFIG).apply(
      {"params": params}, take(batch, np.s_[:6])
    )
    chosen = jax.nn.log_softmax(output.logits)[jnp.arange(6), batch.label[:6]]
    return -chosen.mean()

  wanted = jax.jit(jax.grad(mean_loss))(before.params)
  assert_close(gradient(before.params, after.params), wanted)
  norm = np.sqrt(sum(np.square(g).sum() for g in jax.tree.leaves(wanted)))
  assert sums["grad_norm"] == pytest.approx(norm, rel=1e-5)
  assert norm > 0.1
  assert after.step == 1


def test_filler_rows_change_nothing():
  batch = tiny.random_batch(CONFIG, 8, num_filler=2)
  other = tiny.random_batch(CONFIG, 8, num_filler=2, seed=1)
  mixed = jax.tree.map(
    lambda a, b: np.concatenate([a[:6], b[6:]]), batch, other
  )
  assert not np.array_equal(mixed.input_ids, batch.input_ids)
  results = [compiled(CONFIG)(start(CONFIG), x) for x in (batch, mixed)]
  jax.tree.map(np.testing.assert_array_equal, *results)


@pytest.mark.parametrize("num_slices", [2, 4])
def test_slices_add_up_to_the_batch(num_slices):
  # Of 2 slices one has three valid rows; of 4 one has none.
  valid = np.array([1, 0, 1, 0, 1, 0, 0, 1], bool)
  batch = tiny.random_batch(CONFIG, 8).replace(valid=valid)
  whole, whole_sums = compiled(CONFIG)(start(CONFIG), batch)
  sliced, sums = compiled(CONFIG, num_slices)(start(CONFIG), batch)
  assert_close(sliced.params, whole.params)
  assert_close(sums, whole_sums, atol=0)
  assert sums["count"] == 4


def test_evaluation_drops_nothing_out_and_needs_no_labels():
  batch = tiny.random_batch(DROPPING, 4).replace(label=None, valid=None)
  params = tiny.perturbed_params(DROPPING)
  model = models.build(tiny.tiny_config(num_layers=1, vision=None))
  weights = np.exp(jax.jit(model.apply)({"params": params}, batch).logits)
  wanted = weights / weights.sum(axis=1, keepdims=True)
  np.testing.assert_allclose(probabilities(DROPPING, batch), wanted, atol=1e-6)
