"""BERT+SG, BERT+SG+Att. and MEGA compared with their formulas in PyTorch.

The formulas start from the model's own text states; other tests compare those
with BERT's.
"""

import functools
import math

import jax
import numpy as np
import pytest
import torch
import torch_mega
from flax import traverse_util
from torch_mega import (
  CASES,
  MASKED,
  OBJECTS,
  ROWS,
  make_batch,
  make_params,
  mega_config,
)

from ifa_jax.models import TextConfig, build, parameters, replace
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.baselines.mega import MEGAConfig
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.training import steps

pytestmark = pytest.mark.usefixtures("fast_compilation")

TOLERANCE = 5e-6


@functools.partial(jax.jit, static_argnums=0)
def apply(config, params, batch):
  return build(config).apply({"params": params}, batch, capture=True)


def to_torch(params, needs_grad=False):
  """Returns path -> float64 tensor, without the text stream."""
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
      # Real tokens and objects come first.
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
def test_the_formula_reads_every_parameter(case):
  config, batch = mega_config(case), make_batch()
  weights = to_torch(make_params(config), needs_grad=True)
  hidden = torch.ones(ROWS, 12, 16, dtype=torch.float64)
  logits, _ = torch_mega.forward(
    CASES[case].fuse, weights, hidden, batch, case in MASKED
  )
  logits.sum().backward()
  assert {k for k, w in weights.items() if w.grad is None} == set()


def test_nothing_is_captured_by_default():
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
    # A softmax does not depend on a bias that all keys share.
    read = path != "fusion/key/bias"
    assert (weight.grad.abs().max() > 100 * TOLERANCE) == read, path


@pytest.mark.parametrize("case", MASKED)
def test_without_objects_logits_depend_only_on_the_text(case):
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
  # The third row never has an object.
  moved = np.abs(with_objects - want).max(axis=1) > 100 * TOLERANCE
  np.testing.assert_array_equal(moved, batch.region_mask.any(axis=1))


@pytest.mark.parametrize("case", MASKED)
def test_values_of_absent_objects_are_ignored(case):
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
def test_only_the_release_depends_on_the_padded_length(case):
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
def test_parameter_counts_without_bert_and_the_classifier(case, count):
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


def test_dropout_applies_only_in_training():
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
  # Dropout in the head changes the logits of the same text states.
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
