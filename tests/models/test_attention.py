"""Attention in both forms, compared with the formula; cuDNN's runs in XLA."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifa_jax.models.layers import matmul, transformer
from ifa_jax.models.layers.transformer import KeyValue

B, D, N = 2, 8, 2
# Q and L: even and odd lengths, and 64 keys.
LENGTHS = [(8, 4), (9, 0), (9, 4), (40, 24)]


def random_arrays(queries, lent, masked, seed=0):
  """Returns query, own, lent and bias; some keys are masked, in the middle."""
  rng = np.random.default_rng(seed)
  draw = lambda n: rng.normal(size=(B, n, D)).astype(np.float32)  # noqa: E731
  pairs = [KeyValue(draw(n), draw(n)) if n else None for n in (queries, lent)]
  keys = queries + lent
  there = rng.random((B, keys)) < 0.7
  there[:, [0, -1]] = True
  # As the released rules do: 1 for some keys, and a finite mask.
  bias = np.where(there, rng.integers(0, 2, keys), -10_000.0)
  return draw(queries), *pairs, bias.astype(np.float32) if masked else None


def formula(query, own, lent, bias):
  """Returns values and mean weights, computed head by head in float64."""
  if lent is not None:
    own = [np.concatenate(pair, 1) for pair in zip(lent, own, strict=True)]
  values, weights = [], []
  for q, k, v in zip(*(np.split(x, N, -1) for x in (query, *own)), strict=True):
    logits = np.einsum("bqh,bsh->bqs", q, k, dtype=float) / np.sqrt(D // N)
    logits += 0 if bias is None else bias[:, None]
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    weights.append(shares / shares.sum(-1, keepdims=True))
    values.append(np.einsum("bqs,bsh->bqh", weights[-1], v))
  return np.concatenate(values, -1), np.mean(weights, 0)


def set_device(monkeypatch, capability):
  device = SimpleNamespace(compute_capability=capability)
  monkeypatch.setattr(jax, "devices", lambda: [device])
  monkeypatch.setenv("IFA_FUSED_ATTENTION", "1")


@pytest.fixture(name="fused")
def on_a_gpu(monkeypatch):
  """Lets `attend` choose as on a GPU; XLA takes cuDNN's place."""
  calls = []

  def attend(*arrays, implementation):
    assert implementation == "cudnn"
    calls.append([x if x is None else x.shape for x in arrays])
    return original(*arrays, implementation="xla")

  original = jax.nn.dot_product_attention
  set_device(monkeypatch, "9.0")
  monkeypatch.setattr(jax.nn, "dot_product_attention", attend)
  return calls


def results(arrays, direction):
  """Returns values, weights, and gradients of values along a direction."""

  def values(query, own, lent):
    found = transformer.attend(query, own, lent, arrays[3], N)
    return jnp.vdot(found.values, direction), found

  # A function of its own, which JAX traces for itself.
  grad = jax.jit(jax.grad(values, (0, 1, 2), has_aux=True))
  grads, found = grad(*arrays[:3])
  return found, grads


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("masked", [True, False])
def test_both_forms_are_the_formula(request, lengths, masked):
  arrays = random_arrays(*lengths, masked)
  direction = np.random.default_rng(1).normal(size=(B, lengths[0], D))
  compare = functools.partial(np.testing.assert_allclose, rtol=0, atol=5e-6)
  plain, plain_grads = results(arrays, direction)
  calls = request.getfixturevalue("fused")
  fused, fused_grads = results(arrays, direction)
  assert len(calls) == 1
  for found in (plain, fused):
    jax.tree.map(compare, tuple(found), formula(*arrays))
  jax.tree.map(compare, fused_grads, plain_grads)


@pytest.mark.parametrize(
  ("lengths", "wanted"),
  [((8, 4), (8, 12)), ((9, 4), (10, 14)), ((40, 24), (40, 66))],
)
def test_lengths_with_a_mask_are_those_that_cudnn_can_take(
  fused, lengths, wanted
):
  arrays = random_arrays(*lengths, masked=True)
  transformer.attend(*arrays, N)
  queries, keys = ((B, n, N, D // N) for n in wanted)
  assert fused == [[queries, keys, keys, (B, 1, *wanted)]]


@pytest.mark.parametrize(
  ("capability", "wanted"),
  [("7.5", 0), ("8.0", 1), ("10.3", 1), ("gfx942", 0)],
)
def test_the_kernel_needs_ampere(fused, monkeypatch, capability, wanted):
  set_device(monkeypatch, capability)
  transformer.attend(*random_arrays(9, 4, masked=False), N)
  assert len(fused) == wanted


def refuse(*arrays, implementation):
  raise NotImplementedError("Q must be fp16/bf16")


@pytest.mark.silent_input
@pytest.mark.parametrize("reason", ["dropout", "switch", "queries", "refused"])
def test_what_cudnn_cannot_do_is_done_plainly(fused, monkeypatch, reason):
  arrays = random_arrays(4 if reason == "queries" else 9, 4, masked=True)
  drop = (lambda shares: 2 * shares) if reason == "dropout" else None
  if reason == "switch":
    monkeypatch.delenv("IFA_FUSED_ATTENTION")
  if reason == "refused":
    monkeypatch.setattr(jax.nn, "dot_product_attention", refuse)
  found, _ = transformer.attend(*arrays, N, drop)
  assert not fused
  scale = 2 if drop else 1
  wanted = scale * formula(*arrays)[0]
  np.testing.assert_allclose(found, wanted, rtol=0, atol=5e-6)


def test_jax_without_cudnn_is_no_error(monkeypatch):
  set_device(monkeypatch, "9.0")
  arrays = (jnp.zeros((B, 8, D)),) * 3
  assert matmul.attend_fused(*arrays, None, N) is None
