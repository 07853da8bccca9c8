"""BERT+SG, BERT+SG+Att. and MEGA against their formulas in plain PyTorch.

The text's states are the model's own, which other tests compare with BERT's.
"""

import functools
import math
from typing import NamedTuple

import jax
import numpy as np
import pytest
import tiny
import torch
import torch_mega
from flax import traverse_util

from ifa_jax.models import TextConfig, build, parameters, registry, replace
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.baselines.mega import MEGAConfig
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.training import steps

pytestmark = pytest.mark.usefixtures("fast_compilation")

TOLERANCE = 5e-6
ROWS, OBJECTS, DIM = 4, 3, 7


class Case(NamedTuple):
  """A system's settings, and its yardstick."""

  settings: dict
  fuse: object
  weight_names: tuple = ()


NO_GRAPH = {"structural": False}
RELEASE = {"variant": "released"}
BOTH = ("structural", "semantic")
CASES = {
  "BERT+SG": Case(NO_GRAPH | {"semantic": False}, torch_mega.bert_sg),
  "BERT+SG+Att.": Case(NO_GRAPH, torch_mega.bert_sg_att, BOTH[1:]),
  "BERT+SG+Att., released": Case(
    NO_GRAPH | RELEASE, torch_mega.bert_sg_att_release, BOTH[1:]
  ),
  "MEGA": Case({}, torch_mega.mega, BOTH),
  "MEGA, released": Case(RELEASE, torch_mega.mega_released, BOTH),
  "structural": Case({"semantic": False}, torch_mega.structural, BOTH[:1]),
  "structural, released": Case(
    {"semantic": False} | RELEASE, torch_mega.structural_release, BOTH[:1]
  ),
}
MASKED = [name for name in CASES if "released" not in name]


def mega_config(case, dropout=0.0, **changes):
  """Returns a case's settings at tiny size."""
  text = tiny.tiny_config(dropout, num_layers=1).text
  return MEGAConfig(
    text=text,
    regions=RegionConfig(OBJECTS, DIM),
    num_relations=5,
    head_dropout_rate=dropout,
    **CASES[case].settings | changes,
  )


def make_batch(text_len=12, seed=0):
  """Returns texts of 4 to 12 tokens, and 3, 1, 0 and 2 objects."""
  text = replace(tiny.tiny_config(), vision=None)
  batch = tiny.random_batch(text, ROWS, 12, seed)
  rng = np.random.default_rng(seed + 1)
  there = np.arange(OBJECTS) < np.array([[3], [1], [0], [2]])
  regions = rng.normal(size=(ROWS, OBJECTS, DIM)) * there[..., None]
  aligned = rng.uniform(size=(ROWS, 12, OBJECTS))
  aligned *= batch.attention_mask[..., None] & there[:, None]
  longer = lambda x: np.pad(x, ((0, 0), (0, text_len - 12)))  # noqa: E731
  return batch.replace(
    input_ids=longer(batch.input_ids),
    attention_mask=longer(batch.attention_mask),
    token_type_ids=longer(batch.token_type_ids),
    regions=regions.astype(np.float32),
    region_mask=there,
    alignment=np.pad(
      aligned.astype(np.float32), ((0, 0), (0, text_len - 12), (0, 0))
    ),
  )


def make_params(config):
  """Returns weights under which attention prefers some tokens to others."""
  params = tiny.perturbed_params(config)
  scaled = jax.tree.map(lambda w: 3 * w, params["fusion"])
  return params | {"fusion": scaled}


@functools.partial(jax.jit, static_argnums=0)
def apply(config, params, batch):
  return build(config).apply({"params": params}, batch, capture=True)


def to_torch(params, needs_grad=False):
  """Returns path -> float64 tensor of all but the text stream."""
  flat = traverse_util.flatten_dict(params, sep="/")
  return {
    path: torch.tensor(w, dtype=torch.float64, requires_grad=needs_grad)
    for path, w in flat.items()
    if not path.startswith("text/")
  }


def yardstick(case, params, hidden, batch):
  """Returns logits, and the maps float64[maps, B, T, M] or None."""
  cut = case in MASKED
  logits, betas = torch_mega.forward(
    CASES[case].fuse,
    to_torch(params),
    torch.tensor(np.asarray(hidden, np.float64)),
    batch,
    cut,
  )
  maps = []
  if "structural" in CASES[case].weight_names:
    maps.append(batch.alignment)
  if "semantic" in CASES[case].weight_names:
    maps.append(np.zeros(batch.alignment.shape))
    for b, beta in enumerate(betas):
      # Real tokens and objects stand in front.
      maps[-1][b, : beta.shape[1], : beta.shape[0]] = beta.numpy().T
  return logits.numpy(), np.stack(maps) if maps else None


def assert_close(got, want):
  np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_logits_and_weights_are_the_formulas(case):
  config, batch = mega_config(case), make_batch()
  params = make_params(config)
  got = apply(config, params, batch)
  logits, maps = yardstick(case, params, got.text_hidden[-1], batch)
  assert_close(got.logits, logits)
  assert config.weight_names == CASES[case].weight_names
  if maps is None:
    assert got.region_weights is None
  else:
    assert got.region_weights.shape == maps.shape
    assert_close(got.region_weights, maps)
  assert np.abs(logits).max() > 0.1
  assert got.text_attention.shape == (1, ROWS, 12, 12)


@pytest.mark.parametrize("case", CASES)
def test_every_parameter_has_its_place_in_the_formula(case):
  config, batch = mega_config(case), make_batch()
  weights = to_torch(make_params(config), needs_grad=True)
  hidden = torch.ones(ROWS, 12, 16, dtype=torch.float64)
  logits, _ = torch_mega.forward(
    CASES[case].fuse, weights, hidden, batch, case in MASKED
  )
  logits.sum().backward()
  assert {k for k, w in weights.items() if w.grad is None} == set()


def test_nothing_is_kept_unless_asked_for():
  config, batch = mega_config("MEGA"), make_batch()
  params = make_params(config)
  got = jax.jit(build(config).apply)({"params": params}, batch)
  assert_close(got.logits, apply(config, params, batch).logits)
  assert got.text_hidden is got.text_attention is got.region_weights is None


@pytest.mark.parametrize("case", ["MEGA", "MEGA, released"])
def test_gradients_are_the_formulas(case):
  config, batch = mega_config(case), make_batch()
  params = make_params(config)

  @jax.jit
  def gradients(params):
    def loss(params):
      logits = build(config).apply({"params": params}, batch).logits
      return steps.row_sums(logits, batch)[0] / ROWS

    return jax.grad(loss)(params)

  @jax.jit
  def read(text):
    stream = TextStream(config.text, np.float32)
    return stream.apply({"params": text}, batch, train=False).hidden[-1]

  hidden, pull = jax.vjp(read, params["text"])
  states = torch.tensor(np.asarray(hidden, np.float64), requires_grad=True)
  weights = to_torch(params, needs_grad=True)
  logits, _ = torch_mega.forward(
    CASES[case].fuse, weights, states, batch, case in MASKED
  )
  labels = torch.from_numpy(batch.label.astype(int))
  torch.nn.functional.cross_entropy(logits, labels).backward()

  got = gradients(params)
  (text,) = pull(states.grad.numpy().astype(np.float32))
  jax.tree.map(assert_close, got.pop("text"), text)
  got = traverse_util.flatten_dict(got, sep="/")
  assert got.keys() == weights.keys()
  for path, weight in weights.items():
    assert_close(got[path], weight.grad.numpy())
    # A bias that all keys share is nothing to a softmax.
    read = path != "fusion/key/bias"
    assert (weight.grad.abs().max() > 100 * TOLERANCE) == read, path


@pytest.mark.parametrize("case", MASKED)
def test_without_objects_only_the_text_counts(case):
  config, batch = mega_config(case), make_batch()
  params = make_params(config)
  rng = np.random.default_rng(3)
  nothing = np.zeros((ROWS, OBJECTS), bool)
  garbage = lambda x: rng.normal(size=x.shape).astype(np.float32) * 100  # noqa: E731
  batches = [
    batch.replace(
      regions=fill(batch.regions),
      alignment=fill(batch.alignment),
      region_mask=nothing,
    )
    for fill in (np.zeros_like, garbage)
  ]
  outputs = [apply(config, params, batch) for batch in batches]
  want, _ = yardstick(case, params, outputs[0].text_hidden[-1], batches[0])
  for output in outputs:
    assert_close(output.logits, want)
    assert output.region_weights is None or not output.region_weights.any()
  with_objects = apply(config, params, batch).logits
  # The third row has no object to begin with.
  moved = np.abs(with_objects - want).max(axis=1) > 100 * TOLERANCE
  np.testing.assert_array_equal(moved, batch.region_mask.any(axis=1))


@pytest.mark.parametrize("case", MASKED)
def test_absent_objects_may_hold_anything(case):
  config, batch = mega_config(case), make_batch()
  params = make_params(config)
  there = batch.region_mask
  littered = batch.replace(
    regions=np.where(there[..., None], batch.regions, np.nan),
    alignment=np.where(there[:, None], batch.alignment, np.nan),
  )
  got, want = (apply(config, params, x) for x in (littered, batch))
  assert_close(got.logits, want.logits)
  if config.weight_names:
    assert_close(got.region_weights, want.region_weights)


@pytest.mark.parametrize("case", CASES)
def test_the_padded_length_counts_in_the_release_alone(case):
  config = mega_config(case)
  params = make_params(config)
  short, long = (
    apply(config, params, make_batch(length)).logits for length in (12, 16)
  )
  gap = np.abs(short - long).max()
  assert config.sees_padding == (case not in MASKED and config.semantic)
  assert gap > 1000 * TOLERANCE if config.sees_padding else gap < TOLERANCE


def test_the_release_counts_absent_objects():
  config, batch = mega_config("MEGA, released"), make_batch()
  params = make_params(config)
  fewer = batch.replace(
    regions=batch.regions[:, :2],
    alignment=batch.alignment[:, :, :2],
    region_mask=batch.region_mask[:, :2],
  )
  got, want = (apply(config, params, x).logits for x in (fewer, batch))
  # Row 2 has no object: its third slot still adds a constant.
  assert np.abs(got - want)[2].max() > 1000 * TOLERANCE
  unmasked = batch.replace(region_mask=np.ones_like(batch.region_mask))
  assert_close(apply(config, params, unmasked).logits, want)


@pytest.mark.parametrize(
  ("case", "count"),
  [
    ("MEGA, released", 23_996_928),
    # Two projections of 768, one of 4096, and 3 x 1536 in front of the head.
    ("MEGA", 2 * 769 * 1536 + 4097 * 1536 + 4609 * 1536),
    ("BERT+SG", 4097 * 1536 + 3073 * 1536),
    ("BERT+SG+Att.", 23_996_928 - 3073 * 1536),
    ("BERT+SG+Att., released", 23_996_928 - 1536 * 1536),
    ("structural", 769 * 1536 + 4609 * 1536),
  ],
)
def test_parameters_beside_bert_and_the_classifier(case, count):
  config = MEGAConfig(
    text=TextConfig(num_layers=1),
    regions=RegionConfig(10, 4096),
    **CASES[case].settings,
  )
  found = {
    path: math.prod(shape)
    for path, shape in parameters.param_shapes(config).items()
    if not path.startswith(("text/", "relation_head/out/"))
  }
  assert sum(found.values()) == count, found


def test_dropout_is_of_training_alone():
  config, batch = mega_config("MEGA", dropout=0.5), make_batch()
  params = make_params(config)

  @jax.jit
  def train(seed):
    rngs = {"dropout": jax.random.key(seed)}
    return build(config).apply(
      {"params": params}, batch, train=True, capture=True, rngs=rngs
    )

  quiet = apply(mega_config("MEGA"), params, batch)
  assert_close(apply(config, params, batch).logits, quiet.logits)
  one, other = train(0), train(1)
  assert np.abs(one.text_hidden - other.text_hidden).max() > 0.01
  # Of the same text, the head alone makes another thing.
  whole, _ = yardstick("MEGA", params, one.text_hidden[-1], batch)
  assert np.abs(one.logits - whole).max() > 0.01


def test_bfloat16_keeps_logits_and_weights_in_float32():
  config, batch = mega_config("MEGA, released"), make_batch()
  params = make_params(config)
  want = apply(config, params, batch)
  got = apply(replace(config, dtype="bfloat16"), params, batch)
  assert got.logits.dtype == got.region_weights.dtype == np.float32
  assert got.text_hidden.dtype == "bfloat16"
  gap = np.abs(got.logits - want.logits).max()
  assert TOLERANCE < gap < 0.1 * np.abs(want.logits).max()


@pytest.mark.parametrize("case", CASES)
def test_settings_read_back(case):
  config = mega_config(case, top_k=2, distance="sql2")
  written = registry.to_dict(config)
  assert written["system"] == "mega"
  assert registry.from_dict(written) == config
  assert config.reads_alignment == config.structural
  assert config.sees_pictures
  assert not config.picture_slots


def test_left_out_settings_are_the_papers():
  config = registry.from_dict({"system": "mega"})
  assert config == MEGAConfig()
  assert (config.variant, config.top_k, config.distance) == ("paper", 1, "l2")
  assert config.regions == RegionConfig(num_regions=10, feature_dim=None)
  assert config.text == TextConfig()


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"variant": "release"}, "model.variant: expected one of paper, released"),
    (
      {"distance": "cos"},
      "model.distance: expected one of l2, sql2, got",
    ),
    ({"dtype": "float16"}, "model.dtype: expected one of"),
    ({"top_k": -1}, r"model.top_k: want 0 \(all\) to .* 10, found -1"),
    ({"top_k": 11}, r"model.top_k: want 0 \(all\) to .* 10, found 11"),
    ({"regions": None}, "model.regions: expected Regio"),
    ({"text": {"num_heads": 7}}, "model.text.num_heads: want a divisor"),
    (
      {"structural": False, "semantic": False, "variant": "released"},
      "model.variant: want paper .*, found release",
    ),
  ],
)
def test_settings_that_no_model_has(changes, message):
  with pytest.raises(ValueError, match=message):
    registry.from_dict({"system": "mega"} | changes)
