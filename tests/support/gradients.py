"""Logits and gradients of a model's training step, for comparisons."""

import functools

import jax
import tiny

from ifa_jax import models
from ifa_jax.models.layers.layer_layout import LayerLayout
from ifa_jax.training import steps


def logits_and_gradient(config, batch, stacked, remat=False):
  """Returns logits and gradient, with separate layers, of a training step."""
  step = compiled_step(config, stacked, remat)
  grad, logits = step(tiny.perturbed_params(config), batch)
  return logits, grad


@functools.cache
def compiled_step(config, stacked, remat):
  """Returns the compiled step, shared by test files with the same model."""
  model = models.build(config, remat)

  def loss_fn(params, batch):
    params = LayerLayout(stacked).convert(params)
    rngs = {"dropout": jax.random.key(0)}
    output = model.apply({"params": params}, batch, train=True, rngs=rngs)
    return steps.row_sums(output.logits, batch)[0], output.logits

  return jax.jit(jax.grad(loss_fn, has_aux=True))
