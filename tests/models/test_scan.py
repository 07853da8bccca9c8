"""Stacked layers give the same numbers and updates as separate ones."""

import dataclasses
import functools

import jax
import numpy as np
import optim_section
import pytest
import tiny
from gradients import compiled_step, logits_and_gradient

from ifa_jax import models
from ifa_jax.models import parameters
from ifa_jax.models.baselines.bert import BertConfig
from ifa_jax.models.layers import scan
from ifa_jax.models.layers.layer_layout import APART, LayerLayout
from ifa_jax.training import eval_step, optimizer, steps
from ifa_jax.training.config.run_config import GroupConfig

pytestmark = pytest.mark.slow

STACKED = LayerLayout(stacked=True)
PAPER = tiny.tiny_config(num_layers=3)
MODELS = {
  "both streams": PAPER,
  "text only": models.replace(PAPER, vision=None),
  "bert": BertConfig(PAPER.text, "cls", num_relations=5, head_dropout_rate=0.0),
}
SETTINGS = optim_section.read(
  {
    "groups": {
      "frozen": {"pattern": ".*/query/.*", "peak_lr": 0.0},
      "rest": {"pattern": "(?!.*/query/).*", "peak_lr": 1e-2},
    },
    "warmup_percent": 0.0,
    "b1": 0.9,
    "b2": 0.99,
    "epsilon": 1e-3,
    "weight_decay": 0.1,
    "decay_exclude": ".*/(bias|scale)",
    "clip_norm": 0.5,
  }
)


@functools.cache
def loss_and_gradient(config, stacked, remat=False):
  """Returns those of a batch; see `logits_and_gradient`."""
  batch = tiny.random_batch(PAPER, 4)
  return logits_and_gradient(config, batch, stacked, remat)


def assert_equal(found, wanted, atol=0.0):
  compare = functools.partial(np.testing.assert_allclose, rtol=0, atol=atol)
  jax.tree.map(compare, found, wanted)


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_gradient_equal_those_of_separate_layers(name):
  found = loss_and_gradient(MODELS[name], stacked=True)
  assert_equal(found, loss_and_gradient(MODELS[name], stacked=False), 5e-6)


def test_only_parameters_of_a_layer_are_gathered(monkeypatch):
  gathered = []
  monkeypatch.setattr(scan, "gather", lambda x: gathered.append(x) or x)
  weights, added = np.arange(6.0).reshape(3, 2), np.array([5.0, 7.0, 9.0])
  found = scan.scan_layers(
    lambda x, params, rng, more: x * params["weight"] + more,
    np.ones(2),
    {"weight": weights},
    rng=None,
    remat=False,
    inputs=(added,),
  )
  wanted = functools.reduce(
    lambda x, layer: x * layer[0] + layer[1],
    zip(weights, added, strict=True),
    np.ones(2),
  )
  np.testing.assert_allclose(found, wanted)
  assert [{*x} for x in gathered] == [{"weight"}] * len(gathered)
  assert gathered


def test_remat_changes_neither_numbers_nor_dropout():
  dropping = tiny.tiny_config(dropout=0.3, num_layers=3)
  found = loss_and_gradient(dropping, stacked=True, remat=True)
  assert_equal(found, loss_and_gradient(dropping, stacked=True), 5e-6)


def count_products(config, remat):
  """Returns the number of products in a training step of stacked layers."""
  step = compiled_step(config, True, remat)
  batch = tiny.random_batch(PAPER, 4)
  traced = step.trace(tiny.perturbed_params(config), batch)
  # Lowered for an accelerator, without the branches for CPUs.
  text = traced.lower(lowering_platforms=("cuda",)).as_text()
  return text.count("stablehlo.dot_general")


@pytest.mark.parametrize("name", MODELS)
def test_only_remat_recomputes_products(name):
  kept, recomputed = (count_products(MODELS[name], x) for x in (False, True))
  assert recomputed > kept


def test_predictions_equal_those_of_separate_layers():
  model, batch = models.build(PAPER), tiny.random_batch(PAPER, 4)
  params = tiny.perturbed_params(PAPER)
  predict = jax.jit(eval_step.EvalStep(model))
  found = predict(STACKED.convert(params), batch)
  np.testing.assert_allclose(found, predict(params, batch), rtol=0, atol=5e-6)


@functools.cache
def state(stacked, num_updates=2):
  """Returns a state after some updates, with separate layers."""
  shapes = parameters.abstract_params(PAPER)
  layout = LayerLayout(stacked)
  tx = optimizer.make_optimizer(SETTINGS, shapes, 10, layout)
  params = layout.convert(tiny.perturbed_params(PAPER))
  update = jax.jit(steps.TrainStep(models.build(PAPER), tx, seed=0))
  found = steps.start_state(params, tx)
  for number in range(num_updates):
    found, _ = update(found, tiny.random_batch(PAPER, 4, seed=number))
  return APART.convert(found)


def test_updates_equal_those_of_separate_layers():
  found, wanted = state(stacked=True), state(stacked=False)
  # The structure includes the gaps of the frozen group.
  assert jax.tree.structure(found) == jax.tree.structure(wanted)
  assert_equal(found, wanted, 5e-6)


def test_a_state_is_stacked_and_unstacked_bit_for_bit():
  wanted = jax.tree.map(np.asarray, state(stacked=False))
  stacked = STACKED.convert(wanted)
  visual = stacked.params["visual"]
  assert {*visual} == {"embed", "layers", "layer_2"}
  assert visual["layers"]["mlp_in"]["kernel"].shape == (2, 16, 32)
  assert_equal(APART.convert(stacked), wanted)


@pytest.mark.parametrize(
  ("pattern", "stacked"),
  [
    (".*/layer_[01]/.*", True),
    ("text/embed/.*", True),
    (".*/layer_0/.*", False),
  ],
)
def test_only_layers_that_are_trained_alike_are_stacked(pattern, stacked):
  groups = {
    "low": GroupConfig(pattern, 0.0),
    "rest": GroupConfig(f"(?!{pattern}).*", 1e-3),
  }
  optim = dataclasses.replace(SETTINGS, groups=groups)
  shapes = parameters.abstract_params(PAPER)
  assert optimizer.choose_layout(True, optim, shapes).stacked == stacked
  assert optimizer.choose_layout(False, optim, shapes) == APART


def test_models_with_different_layers_reject_remat():
  released = models.replace(PAPER, fusion="released")
  assert not released.scans_layers
  with pytest.raises(ValueError, match=r"train\.remat.*ifaformer"):
    models.build(released, remat=True)
