"""MKGformer and HVFormer against plain numpy, with perturbed weights."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from flax import traverse_util
from successor_parity import (
  FUSED,
  LAYERS,
  ROWS,
  SHAPES,
  SYSTEMS,
  TOLERANCE,
  WIDTH,
  compute,
  make_batch,
  masked,
  perturbed,
)

from ifa_jax.models import (
  ModelConfig,
  build,
  parameters,
)
from ifa_jax.models.successors import hvformer
from ifa_jax.models.successors.mkgformer import MKGformerConfig

pytestmark = pytest.mark.usefixtures("fast_compilation")


@functools.cache
def applied(name, capture):
  model = build(SYSTEMS[name])
  return jax.jit(
    lambda params, batch: model.apply(
      {"params": params}, batch, capture=capture
    )
  )


def apply(name, params, batch, capture=False):
  return applied(name, capture)(params, batch)


@pytest.mark.parametrize("name", SYSTEMS)
def test_logits(name):
  params, batch = perturbed(name), make_batch(SYSTEMS[name])
  expected, _ = compute(name, params, batch)
  logits = apply(name, params, batch).logits
  size = np.abs(expected).max()
  np.testing.assert_allclose(logits, expected, atol=TOLERANCE * size)
  captured = apply(name, params, batch, capture=True).logits
  np.testing.assert_allclose(captured, expected, atol=TOLERANCE * size)


@pytest.mark.parametrize("name", ["equations", "released"])
def test_states_of_mkgformer(name):
  params, batch = perturbed(name), make_batch(SYSTEMS[name])
  _, states = compute(name, params, batch)
  found = apply(name, params, batch, capture=True)
  real = batch.attention_mask
  for layer, (text, visual) in enumerate(states, start=1):
    size = max(np.abs(text).max(), np.abs(visual).max())
    np.testing.assert_allclose(
      found.text_hidden[layer][real], text[real], atol=TOLERANCE * size
    )
    np.testing.assert_allclose(
      found.visual_hidden[layer], visual, atol=TOLERANCE * size
    )


def test_states_of_hvformer():
  params = perturbed("hvformer")
  batch = make_batch(SYSTEMS["hvformer"])
  _, out = compute("hvformer", params, batch)
  found = apply("hvformer", params, batch, capture=True).text_hidden[-1]
  real = batch.attention_mask
  size = np.abs(out).max()
  np.testing.assert_allclose(found[real], out[real], atol=TOLERANCE * size)


def loss_of(logits, labels):
  shifted = logits - logits.max(-1, keepdims=True)
  log_shares = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
  return -log_shares[np.arange(len(labels)), labels].mean()


def jax_loss(name, batch, params):
  logits = apply(name, params, batch).logits
  shares = jax.nn.log_softmax(logits)
  return -shares[np.arange(ROWS), batch.label].mean()


@pytest.mark.parametrize("name", SYSTEMS)
def test_gradients(name):
  """Each leaf's, along a random direction, by differences in float64."""
  params, batch = perturbed(name), make_batch(SYSTEMS[name])
  gradients = jax.jit(jax.grad(functools.partial(jax_loss, name, batch)))(
    params
  )
  flat = traverse_util.flatten_dict(params)
  found = traverse_util.flatten_dict(gradients)
  rng, step = np.random.default_rng(1), 1e-5
  for path, leaf in flat.items():
    direction = rng.normal(size=leaf.shape) / np.sqrt(leaf.size)
    sides = []
    for sign in (1, -1):
      moved = {**flat, path: leaf.astype(np.float64) + sign * step * direction}
      logits, _ = compute(name, traverse_util.unflatten_dict(moved), batch)
      sides.append(loss_of(logits, batch.label))
    expected = (sides[0] - sides[1]) / (2 * step)
    if name == "hvformer" and path[0] == "visual":
      # The released code detaches every visual state.
      assert not np.any(found[path])
      continue
    if name == "released" and path[1:3] == (f"layer_{LAYERS - 1}", "mlp_out"):
      # Unlike IFAformer's, MKGformer's last visual layer reaches the logits.
      assert np.any(found[path])
    gradient = np.sum(np.asarray(found[path], np.float64) * direction)
    scale = max(1.0, np.abs(found[path]).max())
    assert abs(gradient - expected) < TOLERANCE * scale, path


def test_absent_pictures_and_padding_bear_on_nothing():
  params, batch = perturbed("equations"), make_batch(SYSTEMS["equations"])
  logits = apply("equations", params, batch).logits
  shown = lambda x, mask: np.where(mask[..., None, None, None], x, 7.0)  # noqa: E731
  other = batch.replace(
    grounded=shown(batch.grounded, batch.grounded_mask),
    detected=shown(batch.detected, batch.detected_mask),
    image=shown(batch.image, batch.image_mask),
    input_ids=np.where(batch.attention_mask, batch.input_ids, 9),
  )
  np.testing.assert_array_equal(
    apply("equations", params, other).logits, logits
  )
  longer = batch.replace(
    input_ids=np.pad(batch.input_ids, ((0, 0), (0, 4))),
    attention_mask=np.pad(batch.attention_mask, ((0, 0), (0, 4))),
    token_type_ids=np.pad(batch.token_type_ids, ((0, 0), (0, 4))),
  )
  padded = apply("equations", params, longer).logits
  np.testing.assert_allclose(
    padded, logits, atol=TOLERANCE * np.abs(logits).max()
  )


@pytest.mark.parametrize("name", ["released", "hvformer"])
def test_absent_crops_stay_as_zero_pixels(name):
  config, params = SYSTEMS[name], perturbed(name)
  batch = make_batch(config)
  assert config.sees_absent
  logits = apply(name, params, batch).logits
  everything = {
    f"{kind}_mask": np.ones_like(getattr(batch, f"{kind}_mask"))
    for kind in ("grounded", "detected")
  }
  zeros = batch.replace(
    grounded=masked(batch.grounded, batch.grounded_mask),
    detected=masked(batch.detected, batch.detected_mask),
    **everything,
  )
  np.testing.assert_array_equal(apply(name, params, zeros).logits, logits)


@pytest.mark.parametrize("name", ["equations", "released"])
def test_without_fused_layers_only_the_text_is_read(name):
  config = SYSTEMS[name]
  rules = dataclasses.replace(config.rules, fused_layers=0)
  apart = dataclasses.replace(config, fusion_rules=rules)
  text = ModelConfig(
    text=config.text, vision=None, num_relations=config.num_relations
  )
  params, batch = perturbed(name), make_batch(config)
  params = {k: v for k, v in params.items() if not k.startswith("fusion")}
  logits = build(apart).apply({"params": params}, batch).logits
  of_text = {k: v for k, v in params.items() if k != "visual"}
  expected = build(text).apply({"params": of_text}, batch).logits
  np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_the_maps_are_shares_of_the_visual_tokens():
  for name, count in (
    ("equations", FUSED),
    ("released", FUSED),
    ("hvformer", 3),
  ):
    batch = make_batch(SYSTEMS[name])
    found = apply(name, perturbed(name), batch, capture=True)
    maps = np.asarray(found.text_attention)
    assert maps.shape[0] == count
    assert maps.shape[3] == found.visual_mask.shape[1]
    np.testing.assert_allclose(maps.sum(-1), 1.0, atol=1e-5)
    if name == "equations":
      absent = ~np.broadcast_to(found.visual_mask[:, None], maps.shape[1:])
      assert not np.any(maps[:, absent])


def test_experts_start_within_torchs_limits():
  shapes = {"experts_in": 0.002253, "experts_out": 0.003183}
  model = jax.eval_shape(
    lambda: parameters.init_params(SYSTEMS["hvformer"], jax.random.key(0))
  )
  assert model["experts_in"].shape == (3, 2 * WIDTH, WIDTH)
  for name, limit in shapes.items():
    rows = (2 if name == "experts_in" else 1) * 768
    drawn = hvformer.init_experts(jax.random.key(0), (3, rows, 768))
    assert np.abs(drawn).max() == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"variant": "paper"}, "model.variant: expected"),
    (
      {"vision": dataclasses.replace(SHAPES["vision"], num_layers=2)},
      "model.vision.num_layers",
    ),
    ({"use_image": False, "use_objects": False}, "model.use_objects"),
  ],
)
def test_settings_that_no_model_can_have(changes, message):
  with pytest.raises(ValueError, match=message):
    MKGformerConfig(**SHAPES | changes)
