"""HVPNeT against plain numpy, at base width, with perturbed weights."""

import dataclasses
import functools

import jax
import numpy as np
import numpy_hvpnet as yardstick
import pytest
from flax import traverse_util

import ifa_jax
from ifa_jax.convert import deepke, engine
from ifa_jax.convert.engine import Rule, linear
from ifa_jax.models import ModelConfig, TextConfig, build, parameters
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.successors.pyramid import HVPNeTConfig, PrefixRules

pytestmark = pytest.mark.usefixtures("fast_compilation")

# Of the size of the logits.
TOLERANCE = 5e-6
LAYERS, ROWS, REGIONS = 2, 3, 4
STAGES = (256, 512, 1024, 2048)
TEXT = TextConfig(vocab_size=40, max_len=16, num_layers=LAYERS)
REGION = RegionConfig(REGIONS, 4 * sum(STAGES))
NARROW = {
  "text": dataclasses.replace(TEXT, hidden_dim=24, num_heads=4, mlp_dim=40),
  "stage_dims": (2, 3, 4, 5),
  "regions": RegionConfig(REGIONS, 4 * 14),
  "projection_dim": 10,
}
SYSTEMS = {
  name: HVPNeTConfig(text=TEXT, regions=REGION, num_relations=6, variant=name)
  for name in ("equations", "released")
}
SYSTEMS |= {
  f"narrow {name}": dataclasses.replace(config, **NARROW)
  for name, config in SYSTEMS.items()
}
NARROW_SYSTEMS = ["narrow equations", "narrow released"]
RULES = [
  *(
    rule
    for rule in deepke.RULES
    if isinstance(rule, Rule) and rule.path.startswith("text/")
  ),
  *linear("classifier", "relation_head"),
  *linear("encoder_conv.0", "pyramid/project_in"),
  *linear("encoder_conv.2", "pyramid/project_out"),
  *linear("gates.{n}", "pyramid/gate_{n}"),
  *linear("stages.{n}", "pyramid/stage_{n}"),
  *linear("prefix.{n}", "pyramid/prefix_{n}"),
]


@functools.cache
def perturbed(name):
  """Returns parameters in which no norm is 1 and no bias is 0."""
  params = parameters.init_params(SYSTEMS[name], jax.random.key(0))
  rng = np.random.default_rng(0)
  flat = {
    path: np.asarray(leaf) + rng.normal(0, 0.05, leaf.shape).astype(np.float32)
    for path, leaf in traverse_util.flatten_dict(params).items()
  }
  return traverse_util.unflatten_dict(flat)


def make_batch(name, padding=0):
  rng, text_len = np.random.default_rng(0), 10
  mask = np.arange(text_len) < np.array([[10], [6], [8]])
  ids = np.where(mask, rng.integers(1, 40, (ROWS, text_len)), 0)
  mask, ids = (np.pad(x, ((0, 0), (0, padding))) for x in (mask, ids))
  there = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], bool)
  width = SYSTEMS[name].regions.feature_dim
  features = rng.exponential(0.5, (ROWS, REGIONS, width))
  return ifa_jax.Batch(
    input_ids=ids.astype(np.int32),
    attention_mask=mask,
    token_type_ids=np.zeros_like(ids, np.int32),
    head_start=np.array([1, 2, 5], np.int32),
    tail_start=np.array([7, 4, 1], np.int32),
    label=np.array([0, 3, 5], np.int32),
    valid=np.ones(ROWS, bool),
    regions=features.astype(np.float32) * there[..., None],
    region_mask=there,
  )


def compute(name, params, batch):
  """Returns the yardstick's logits and states."""
  config, params = SYSTEMS[name], dict(params)
  width, num_heads = config.text.hidden_dim, config.text.num_heads
  absent, released = None, config.variant == "released"
  if released:
    pyramid = dict(params["pyramid"])
    absent = pyramid.pop("absent")
    params["pyramid"] = pyramid
  weights = engine.restore(
    traverse_util.flatten_dict(params, sep="/"), RULES, "the yardstick"
  )
  w = {key: np.asarray(value, np.float64) for key, value in weights.items()}
  features = batch.regions.astype(np.float64)
  if absent is not None:
    features = np.where(batch.region_mask[..., None], features, absent)
  maps = features.reshape(ROWS, REGIONS, -1, 2, 2)
  bias = np.zeros((ROWS, 4 * REGIONS))
  pad = -10000.0
  if released:
    found = yardstick.released_prefix(w, maps, width, num_heads, LAYERS)
  else:
    found = yardstick.prefix(w, maps, config.stage_dims, num_heads, LAYERS)
    pad = -1e30
    bias = np.where(np.repeat(batch.region_mask, 4, axis=1), 0.0, pad)
  rows = (batch.input_ids, batch.attention_mask)
  text = (*rows, batch.head_start, batch.tail_start)
  return yardstick.hvpnet(w, text, found, bias, num_heads=num_heads, pad=pad)


@functools.cache
def applied(name, capture=False):
  model = build(SYSTEMS[name])
  return jax.jit(
    lambda params, batch: model.apply(
      {"params": params}, batch, capture=capture
    )
  )


def loss(logits, labels):
  shares = jax.nn.log_softmax(logits)
  return -shares[np.arange(ROWS), labels].mean()


@pytest.mark.parametrize("name", SYSTEMS)
def test_logits_and_states(name):
  params, batch = perturbed(name), make_batch(name)
  expected, states = compute(name, params, batch)
  size = np.abs(expected).max()
  np.testing.assert_allclose(
    applied(name)(params, batch).logits, expected, atol=TOLERANCE * size
  )
  found = applied(name, capture=True)(params, batch)
  np.testing.assert_allclose(found.logits, expected, atol=TOLERANCE * size)
  real = batch.attention_mask
  for layer, state in enumerate(states, start=1):
    np.testing.assert_allclose(
      found.text_hidden[layer][real],
      state[real],
      atol=TOLERANCE * np.abs(state).max(),
    )


@pytest.mark.parametrize("name", NARROW_SYSTEMS)
def test_gradients(name):
  """Each leaf's, along a random direction, by differences in float64."""
  params, batch = perturbed(name), make_batch(name)

  def of_params(params):
    return loss(applied(name)(params, batch).logits, batch.label)

  found = traverse_util.flatten_dict(jax.grad(of_params)(params))
  flat, rng = traverse_util.flatten_dict(params), np.random.default_rng(1)
  for path, leaf in flat.items():
    direction = rng.normal(size=leaf.shape) / np.sqrt(leaf.size)
    sides = []
    for sign in (1, -1):
      moved = leaf.astype(np.float64) + sign * 1e-5 * direction
      tree = traverse_util.unflatten_dict({**flat, path: moved})
      logits, _ = compute(name, tree, batch)
      shifted = logits - logits.max(-1, keepdims=True)
      shares = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
      sides.append(-shares[np.arange(ROWS), batch.label].mean())
    expected = (sides[0] - sides[1]) / 2e-5
    gradient = np.sum(np.asarray(found[path], np.float64) * direction)
    scale = max(1.0, np.abs(found[path]).max())
    assert abs(gradient - expected) < TOLERANCE * scale, path


def test_absent_regions_and_padding_bear_on_nothing():
  name = "narrow equations"
  params, batch = perturbed(name), make_batch(name)
  logits = applied(name)(params, batch).logits
  other = np.where(batch.region_mask[..., None], batch.regions, 3.0)
  changed = batch.replace(regions=other.astype(np.float32))
  found = applied(name)(params, changed).logits
  np.testing.assert_array_equal(found, logits)
  longer = applied(name)(params, make_batch(name, 4)).logits
  size = np.abs(logits).max()
  np.testing.assert_allclose(longer, logits, atol=TOLERANCE * size)


def test_a_row_does_not_depend_on_others():
  """The released code's BatchNorm, in training mode, made them depend."""
  name = "narrow released"
  params, batch = perturbed(name), make_batch(name)
  model = build(SYSTEMS[name])
  whole = applied(name)(params, batch).logits
  first = jax.tree.map(lambda x: x[:1], batch)
  alone = model.apply({"params": params}, first).logits
  np.testing.assert_allclose(alone, whole[:1], atol=1e-5)


def test_without_regions_the_equations_are_the_text_alone():
  name = "narrow equations"
  config, params, batch = SYSTEMS[name], perturbed(name), make_batch(name)
  blank = batch.replace(region_mask=np.zeros_like(batch.region_mask))
  text = ModelConfig(text=config.text, vision=None, num_relations=6)
  own = {key: params[key] for key in ("text", "relation_head")}
  expected = jax.jit(build(text).apply)({"params": own}, blank).logits
  found = applied(name)(params, blank).logits
  np.testing.assert_allclose(found, expected, atol=1e-5)
  none = batch.replace(regions=None, region_mask=None)
  found = build(config).apply({"params": params}, none).logits
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_maps_are_shares_of_the_regions():
  name = "narrow equations"
  params, batch = perturbed(name), make_batch(name)
  found = applied(name, capture=True)(params, batch)
  maps = np.asarray(found.region_weights)
  assert maps.shape == (LAYERS, ROWS, 10, REGIONS)
  of_text = np.asarray(found.text_attention)[..., 4 * REGIONS :].sum(-1)
  np.testing.assert_allclose(maps.sum(-1) + of_text, 1.0, atol=1e-5)
  assert not np.any(maps * ~batch.region_mask[:, None])
  name = "narrow released"
  found = applied(name, capture=True)(perturbed(name), batch)
  assert found.region_weights is None


def test_levels_by_stage_need_tokens_that_are_places():
  rules = SYSTEMS["released"].rules
  with pytest.raises(ValueError, match="levels_by_stage"):
    dataclasses.replace(rules, levels_by_stage=True)


def test_keys_that_mix_tokens_cannot_mask_any():
  with pytest.raises(ValueError, match="absent_masked: expected False"):
    PrefixRules(heads_split=False)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"variant": "paper"}, "model.variant"),
    ({"pooling": "mean"}, "model.pooling"),
    ({"regions": RegionConfig(4, 100)}, "model.regions.feature_dim"),
  ],
)
def test_settings_that_no_model_can_have(changes, message):
  with pytest.raises(ValueError, match=message):
    HVPNeTConfig(**{"text": TEXT, "num_relations": 6} | changes)


def test_published_number_of_parameters():
  """7 994 144 + 294 960 of the released code's projections and gates."""
  shapes = parameters.param_shapes(
    HVPNeTConfig(regions=REGION, variant="released")
  )
  sizes = {path: int(np.prod(shape)) for path, shape in shapes.items()}
  of = lambda part: sum(n for p, n in sizes.items() if part in p)  # noqa: E731
  assert of("pyramid/project") == 7_994_144
  assert of("pyramid/gate") == 294_960
  assert of("relation_head") == 35_351
  shapes = parameters.param_shapes(HVPNeTConfig(regions=REGION))
  sizes = {path: int(np.prod(shape)) for path, shape in shapes.items()}
  assert of("pyramid/stage") == 2_952_192
  assert of("pyramid/gate") == 36_912
  assert of("pyramid/prefix") == 14_174_208
