"""Recorded losses of a few updates, to detect changed numerics.

The tolerance is well above rounding differences between compilers, and at most
a third of the change of the first loss by small changes of the model.
"""

import functools
import re

import jax
import numpy as np
import optim_section
import pytest
import tiny
from flax import traverse_util

from ifa_jax import models
from ifa_jax.models.layers import transformer
from ifa_jax.training import optimizer, steps
from ifa_jax.training.steps import dropout_key

pytestmark = pytest.mark.slow

RELATIVE = 5e-6
PAPER = tiny.tiny_config(dropout=0.1)
# Two of three layers are stacked, each with its own dropout key.
DEEPER = tiny.tiny_config(dropout=0.1, num_layers=3)
APART = {
  "paper": PAPER,
  "released": models.replace(PAPER, fusion="released"),
  "text": models.replace(PAPER, vision=None),
}
# As trained with `scan_layers`, the default.
STACKED = {
  "paper, stacked": DEEPER,
  "text, stacked": models.replace(DEEPER, vision=None),
}
MODELS = APART | STACKED
LOSSES = {
  "paper": (4.615243, 2.506114, 2.063611),
  "released": (4.047042, 1.842566, 1.806962),
  "text": (4.432084, 2.146391, 1.849308),
  "paper, stacked": (3.222355, 2.110636, 1.995492),
  "text, stacked": (2.807379, 2.000873, 2.016659),
}
OPTIM = optim_section.read(
  {
    "groups": {"all": {"pattern": ".*", "peak_lr": 0.002}},
    "warmup_percent": 0.0,
    "b1": 0.9,
    "b2": 0.999,
    # AdamW divides a gradient by its size. With a large epsilon, gradients that
    # are only rounding errors, such as those of keys' biases, stay small.
    "epsilon": 1e-3,
    "weight_decay": 0.01,
    "decay_exclude": r".*/(bias|scale)",
    "clip_norm": 1.0,
  }
)


# Narrow embeddings, as BERT's, and activations far from 0 make the loss depend
# on the norms' epsilon and on the form of the activation.
SCALES = {
  r"text/embed/.*/embedding": 0.02,
  r".*/mlp_(in|out)/kernel|relation_head/kernel": 5.0,
}


def params(config):
  """Returns random parameters, scaled."""
  flat = traverse_util.flatten_dict(tiny.perturbed_params(config), sep="/")
  for path in flat:
    for pattern, scale in SCALES.items():
      if re.fullmatch(pattern, path):
        flat[path] *= np.float32(scale)
  return traverse_util.unflatten_dict(flat, sep="/")


@functools.cache
def batch():
  return tiny.random_batch(PAPER, 8, num_filler=1)


def losses(config, num_updates, stacked):
  """Returns the mean loss before each update."""
  start = params(config)
  layout = optimizer.choose_layout(stacked, OPTIM, start)
  assert layout.stacked == stacked
  tx = optimizer.make_optimizer(OPTIM, start, num_updates + 1, layout)
  update = jax.jit(steps.TrainStep(models.build(config), tx, seed=0))
  state, found = steps.start_state(layout.convert(start), tx), []
  for _ in range(num_updates):
    state, sums = update(state, batch())
    found.append(float(sums["loss"] / sums["count"]))
  return found


def first_loss(config, seed=0):
  """Returns the mean loss before the first update, with its dropout."""
  return float(compiled_loss(config)(params(config), dropout_key(seed, 0)))


@functools.cache
def compiled_loss(config):
  """Returns the loss as a function of parameters and a dropout key."""

  def compute(params, key):
    output = models.build(config).apply(
      {"params": params}, batch(), train=True, rngs={"dropout": key}
    )
    loss, sums = steps.row_sums(output.logits, batch())
    return loss / sums["count"]

  return jax.jit(compute)


@pytest.mark.parametrize("name", MODELS)
def test_losses_are_unchanged(name):
  found = losses(MODELS[name], len(LOSSES[name]), stacked=name in STACKED)
  assert found == pytest.approx(LOSSES[name], rel=RELATIVE)


def text_changed(**changes):
  return models.replace(PAPER, text=models.replace(PAPER.text, **changes))


CHANGES = {
  "nothing": lambda _: first_loss(PAPER),
  "epsilon": lambda _: first_loss(text_changed(norm_epsilon=1e-6)),
  "dropout": lambda _: first_loss(PAPER, seed=1),
  "gelu": lambda patch: _with_tanh(patch),
}


def _with_tanh(patch):
  tanh = functools.partial(jax.nn.gelu, approximate=True)
  patch.setitem(transformer.ACTIVATIONS, "gelu", tanh)
  # Not the cached function, which has the exact form.
  return float(
    compiled_loss.__wrapped__(PAPER)(params(PAPER), dropout_key(0, 0))
  )


@pytest.mark.parametrize("name", CHANGES)
def test_small_changes_are_detected(name, monkeypatch):
  wanted = LOSSES["paper"][0]
  gap = abs(CHANGES[name](monkeypatch) - wanted) / wanted
  if name == "nothing":
    assert gap < RELATIVE
  else:
    assert gap > 3 * RELATIVE
