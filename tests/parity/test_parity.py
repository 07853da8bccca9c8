"""The model compared with DeepKE's numbers and with plain PyTorch.

Weights are perturbed everywhere, norms and biases too: at init a swapped norm
or a dropped bias would go unseen.
"""

import functools
import os

import jax
import numpy as np
import optim_section
import parity
import pytest
import reference_data
import torch
import torch_reference

import ifa_jax
from ifa_jax import models
from ifa_jax.models import registry
from ifa_jax.training import optimizer as optim
from ifa_jax.training import steps

pytestmark = pytest.mark.slow

# float32 against float32 or float64; a wrong epsilon is 2e-5 off.
TOLERANCE = 5e-6

CLIP = torch_reference.Geometry(
  layers=2,
  text_heads=4,
  vision_heads=4,
  patch=4,
  size=12,
  vocab=50,
  hidden=24,
  mlp=40,
  num_relations=7,
)
VIT = torch_reference.Geometry(
  layers=2,
  text_heads=2,
  vision_heads=6,
  patch=4,
  size=16,
  num_crops=2,
  vision_eps=1e-12,
  vision_activation="gelu",
  pre_norm=False,
  patch_bias=True,
  vocab=50,
  hidden=24,
  mlp=40,
  num_relations=5,
)
ROWS_OF_TABLE_2 = {
  "objects": {},
  "objects only": {"use_image": False},
  "vanilla": {"use_objects": False},
  "no text attention": {"use_objects": False, "text_attention": False},
}
CASES = {
  **{f"CLIP, {k}": (CLIP, v) for k, v in ROWS_OF_TABLE_2.items()},
  "ViT, objects": (VIT, {}),
  "ViT, no text attention": (VIT, ROWS_OF_TABLE_2["no text attention"]),
  "released": (CLIP, {"fusion": "released"}),
}


# Other cases are compiled without optimisations, as in the rest of the suite.
COMPILED_IN_FULL = ("CLIP, objects", "released")


@pytest.fixture(name="jit")
def jit_as_users_have_it(request):
  named = getattr(request.node, "callspec", None)
  if named is None or named.id not in COMPILED_IN_FULL:
    yield jax.jit
    return
  before = jax.config.values["jax_disable_most_optimizations"]
  jax.config.update("jax_disable_most_optimizations", False)
  # `conftest` asks for the older code where there is any.
  name = "xla_cpu_use_fusion_emitters"
  options = {name: True} if name in os.environ["XLA_FLAGS"] else {}
  yield functools.partial(jax.jit, compiler_options=options)
  jax.config.update("jax_disable_most_optimizations", before)


def yardstick(geometry, dtype=torch.float64):
  weights = torch_reference.random_weights(geometry, seed=1, dtype=dtype)
  inputs = reference_data.random_inputs(geometry, seed=2, batch_size=4)
  floats = {k: v.to(dtype) for k, v in inputs.items() if v.is_floating_point()}
  return weights, inputs | floats


def largest_gap(got, want):
  gaps = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), got, want)
  return max(jax.tree.leaves(gaps))


def assert_close(got, want, what):
  gap = np.abs(np.asarray(got) - np.asarray(want)).max()
  assert gap < TOLERANCE, f"{what}: {gap:.1e}"


def loss_and_gradients(model, params, batch):
  def loss(params):
    output = model.apply({"params": params}, batch, capture=True)
    return steps.row_sums(output.logits, batch)[0] / len(batch.label), output

  return jax.value_and_grad(loss, has_aux=True)(params)


def capture(model, params, batch):
  return model.apply({"params": params}, batch, capture=True)


@pytest.mark.parametrize("case", CASES)
def test_states_attention_loss_and_gradients(case, jit):
  geometry, options = CASES[case]
  weights, inputs = yardstick(geometry)
  want = torch_reference.forward(
    weights, inputs, geometry, capture=True, **options
  )
  want_loss, grads = torch_reference.gradients(
    weights, inputs, geometry, **options
  )
  # An unused weight has no gradient in PyTorch, and a zero one in JAX.
  filled = {
    name: torch.zeros_like(weights[name]) if grad is None else grad
    for name, grad in grads.items()
  }
  config = parity.model_config(geometry, **options)
  (loss, got), got_grads = jit(loss_and_gradients, static_argnums=0)(
    models.build(config),
    parity.to_params(weights, config),
    parity.to_batch(inputs),
  )
  for name in (
    "logits",
    "text_hidden",
    "text_attention",
    "visual_hidden",
    "visual_attention",
  ):
    assert_close(getattr(got, name), getattr(want, name), name)
  assert_close(loss, want_loss, "loss")
  assert largest_gap(got_grads, parity.to_params(filled, config)) < TOLERANCE


def test_text_only(jit):
  weights, inputs = yardstick(CLIP)
  want = torch_reference.forward(
    weights, inputs, CLIP, vision=False, capture=True
  )
  config = parity.model_config(CLIP)
  params = parity.to_params(weights, config)
  text_only = models.replace(config, vision=None)
  got = jit(capture, static_argnums=0)(
    models.build(text_only), params, parity.to_batch(inputs)
  )
  for name in ("logits", "text_hidden", "text_attention"):
    assert_close(getattr(got, name), getattr(want, name), name)
  assert got.visual_hidden is None


def released_optim(**changes):
  return {
    "groups": {
      "head": {"pattern": "relation_head/.*", "peak_lr": 0.0},
      "rest": {"pattern": "(?!relation_head).*", "peak_lr": 1e-3},
    },
    "warmup_percent": 0.0,
    "b1": 0.9,
    "b2": 0.999,
    "epsilon": 1e-8,
    "weight_decay": 0.01,
    "decay_exclude": "",
    "clip_norm": 0.0,
  } | changes


def test_full_update_of_the_released_fusion(jit):
  """DeepKE's AdamW step (train.py:210-222) in PyTorch, and ours."""
  weights, inputs = yardstick(CLIP, torch.float32)
  leaves = {k: w.clone().requires_grad_() for k, w in weights.items()}
  optimizer = torch.optim.AdamW(
    [w for k, w in leaves.items() if "model" in k], lr=1e-3, weight_decay=0.01
  )
  want_losses = []
  for factor in (1.0, 0.5):
    for group in optimizer.param_groups:
      group["lr"] = 1e-3 * factor
    optimizer.zero_grad()
    loss = torch_reference.loss(leaves, inputs, CLIP, fusion="released")
    loss.backward()
    optimizer.step()
    want_losses.append(loss.item())

  config = parity.model_config(CLIP, fusion="released")
  quiet = models.TextConfig(
    **registry.to_dict(config)["text"]
    | {"dropout_rate": 0.0, "attention_dropout_rate": 0.0}
  )
  config = models.replace(config, text=quiet)
  params = parity.to_params(weights, config)
  tx = optim.make_optimizer(
    optim_section.read(released_optim()), params, num_steps=2
  )
  train_step = jit(steps.TrainStep(models.build(config), tx, seed=0))
  state, batch = steps.start_state(params, tx), parity.to_batch(inputs)
  got_losses = []
  for _ in range(2):
    state, sums = train_step(state, batch)
    got_losses.append(float(sums["loss"] / sums["count"]))

  np.testing.assert_allclose(got_losses, want_losses, atol=TOLERANCE)
  # PyTorch skips a weight without gradient; in JAX it decays.
  read = {k: w for k, w in leaves.items() if w.grad is not None}
  decayed = {
    k: w.detach() * (1 - 1e-3 * 0.01) * (1 - 5e-4 * 0.01)
    for k, w in leaves.items()
    if w.grad is None
  }
  want = parity.to_params({**leaves, **read, **decayed}, config)
  assert largest_gap(state.params, want) < TOLERANCE
  moved = largest_gap(state.params, params)
  assert moved > 100 * TOLERANCE, "the update is too small to compare"


FUSIONS = {
  "deepke": {"fusion": "released"},
  "paper_with_objects": {"fusion": "paper"},
  "paper_vanilla": {"fusion": "paper", "use_objects": False},
  "paper_without_text_attention": {
    "fusion": "paper",
    "use_objects": False,
    "text_attention": False,
  },
  "paper_text_only": {"fusion": "paper", "vision": None},
}


@pytest.mark.parametrize("name", FUSIONS)
def test_deepke_checkpoint_gives_the_reference_numbers(name, jit):
  config, params = ifa_jax.convert.from_deepke(
    reference_data.FOLDER / "best_model.pth", num_heads=12
  )
  config = models.replace(config, **FUSIONS[name])
  batch = parity.to_batch(reference_data.inputs())
  got = jit(capture, static_argnums=0)(models.build(config), params, batch)
  want = reference_data.expected(name)
  real = np.asarray(batch.attention_mask)
  assert np.abs(got.logits - want["logits"]).max() < TOLERANCE
  for field in ("text_hidden", "text_attention"):
    gap = np.abs(getattr(got, field) - want[field])[:, real]
    assert gap.max() < TOLERANCE
  for field in ("hidden", "attention"):
    if f"vision_{field}" in want:
      gap = np.abs(getattr(got, f"visual_{field}") - want[f"vision_{field}"])
      assert gap.max() < TOLERANCE
