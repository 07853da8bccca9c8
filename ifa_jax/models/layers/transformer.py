"""Parts of a transformer layer: linear maps, norms, dropout and attention.

In IFAformer's attention (arXiv:2211.07504, equation 2) each stream puts the
other's keys and values in front of its own, and softmaxes over both.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.models.layers import matmul, scan


def _gelu(x: jax.Array) -> jax.Array:
  """The error function's (Hendrycks and Gimpel 2016), as BERT has it.

  jax.nn.gelu is the tanh form by default, 4.7e-4 off, and erfc otherwise, which
  takes a CPU twice as long as erf.
  """
  return 0.5 * x * (1.0 + jax.lax.erf(x * 0.5**0.5))


def _in_float32(
  activation: Callable[[jax.Array], jax.Array],
) -> Callable[[jax.Array], jax.Array]:
  """Rounds what an activation gives once, rather than each of its steps."""
  return lambda x: activation(x.astype(jnp.float32)).astype(x.dtype)


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  "gelu": _in_float32(_gelu),
  "quick_gelu": _in_float32(lambda x: x * jax.nn.sigmoid(1.702 * x)),
}

# Of linear layers and embedding tables, as BERT starts them.
init_kernel = scan.normal(0.02)


# Of the 16 random bits of an element of dropout.
_LEVELS = 2**16


class KeyValue(NamedTuple):
  """What a stream lends: two arrays float[B, S, D], not yet cut into heads.

  The querying stream cuts them, so the two streams' head counts may differ.
  """

  key: jax.Array
  value: jax.Array


class Attended(NamedTuple):
  """Attention's outcome.

  Attributes:
    values: float[B, Q, D], heads side by side.
    weights: float32[B, Q, S], the mean over heads, lent keys first.
  """

  values: jax.Array
  weights: jax.Array


def split_heads(x: jax.Array, num_heads: int) -> jax.Array:
  """Cuts float[B, S, D] into float[B, N, S, H]."""
  # Heads in front: XLA's CPU products are up to five times slower otherwise.
  return x.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)


def join_heads(x: jax.Array) -> jax.Array:
  """Puts float[B, N, S, H] back together as float[B, S, D]."""
  x = x.swapaxes(1, 2)
  return x.reshape(*x.shape[:2], -1)


def scrambled_heads(x: jax.Array, num_heads: int) -> jax.Array:
  """Returns float[B, S, D] whose `split_heads` is what a bare reshape gives.

  The released code reads the S x D block row by row as [N, S, H]
  (modeling_IFA.py:604, 622), which mixes tokens and heads.
  """
  batch, length, width = x.shape
  return join_heads(x.reshape(batch, num_heads, length, width // num_heads))


def mask_bias(mask: jax.Array, bias: float) -> jax.Array:
  """Turns bool[B, S] (True = real) into float32[B, S]: 0, or `bias`."""
  return jnp.where(mask, 0.0, jnp.float32(bias))


def attend(
  query: jax.Array,
  own: KeyValue,
  lent: KeyValue | None,
  key_bias: jax.Array,
  num_heads: int,
  drop: Callable[[jax.Array], jax.Array] = lambda weights: weights,
) -> Attended:
  """Attends from one stream to the lent tokens and to its own.

  Args:
    query: float[B, Q, D].
    own: keys and values of the querying stream, float[B, Q, D].
    lent: those of the other stream, float[B, L, D], or None.
    key_bias: float32[B, L+Q], added to the logits.
    num_heads: N of the querying stream.
    drop: dropout of the weights, float32[B, N, Q, S] to the same; it may
      only keep each or set it to 0, and scale all alike.
  """
  if lent is not None:
    own = KeyValue(
      *(jnp.concatenate(pair, axis=1) for pair in zip(lent, own, strict=True))
    )
  query, key, value = (split_heads(x, num_heads) for x in (query, *own))
  # float32 from here to the weights, whatever dtype the streams compute in.
  query = query * query.shape[-1] ** -0.5
  logits = matmul.keep(matmul.compare(query, key))
  logits += key_bias[:, None, None, :]
  # Softmax, divided by its sum behind the product with the values: the same
  # numbers, and half the time of jax.nn.softmax on a CPU, backward too.
  peak = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
  shares = jnp.exp(logits - peak)
  total = jnp.sum(shares, axis=-1, keepdims=True)
  shared = matmul.mix(drop(shares).astype(value.dtype), value)
  values = (matmul.keep(shared) / total).astype(value.dtype)
  return Attended(join_heads(values), jnp.mean(shares / total, axis=1))


class Linear(nn.Module):
  """A linear layer with float32 parameters; `dtype` computes.

  Its parameters are those of `nn.Dense`: `kernel` [D, features] and `bias`.
  """

  features: int
  dtype: jnp.dtype
  use_bias: bool = True

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps float[..., D] to float[..., features]."""
    shape = x.shape[-1], self.features
    kernel = self.param("kernel", init_kernel, shape)
    zeros, bias = nn.initializers.zeros_init(), None
    if self.use_bias:
      bias = self.param("bias", zeros, (self.features,))
    # Rows as one axis: a sum over two would have a CPU transpose.
    rows = x.astype(self.dtype).reshape(-1, x.shape[-1])
    out = matmul.linear(rows, kernel, bias)
    return matmul.keep(out.reshape(*x.shape[:-1], -1))


def layer_norm(epsilon: float, dtype: jnp.dtype) -> nn.LayerNorm:
  """Returns a LayerNorm as PyTorch computes it, statistics in float32."""
  # E[x^2] - E[x]^2, flax's default, loses a digit on inputs with an offset.
  return nn.LayerNorm(epsilon=epsilon, dtype=dtype, use_fast_variance=False)


class Projections(nn.Module):
  """The four projections of an attention layer: query, key, value and out."""

  dim: int
  dtype: jnp.dtype

  def setup(self):
    """Declares the layers under the names that weights are loaded by."""
    self.query = Linear(self.dim, self.dtype)
    self.key = Linear(self.dim, self.dtype)
    self.value = Linear(self.dim, self.dtype)
    self.out = Linear(self.dim, self.dtype)

  def __call__(self, x: jax.Array) -> tuple[jax.Array, KeyValue]:
    """Projects float[B, S, D] to queries, keys and values (equation 1)."""
    return self.query(x), KeyValue(self.key(x), self.value(x))


class Dropout(nn.Module):
  """Zeroes elements, and scales the others so that the mean stays.

  On a CPU flax's `nn.Dropout` takes a tenth of an update: a 32-bit number for
  each element, which the backward pass keeps as well. Here two elements share
  one, and what is kept is the mask, a byte an element.

  Attributes:
    rate: the probability of 0, rounded to a multiple of 2^-16.
  """

  rate: float

  def __call__(self, x: jax.Array, *, deterministic: bool) -> jax.Array:
    """Maps float[...] to the same shape; reads the PRNG stream "dropout"."""
    if deterministic or not self.rate:
      return x
    dropped = round(self.rate * _LEVELS)
    keep = keep_mask(self.make_rng("dropout"), dropped, x.shape)
    return jnp.where(keep, x * (_LEVELS / (_LEVELS - dropped)), 0)


def keep_mask(
  rng: jax.Array, dropped: int, shape: tuple[int, ...]
) -> jax.Array:
  """Returns bool[shape], each element False in `dropped` of 2^16 cases.

  The same on one device and on many, however the shape is split over them.
  """
  length = shape[-1]
  words = jax.random.bits(rng, (*shape[:-1], -(-length // 2)), jnp.uint32)
  halves = jnp.concatenate([words & (_LEVELS - 1), words >> 16], axis=-1)
  keep = halves[..., :length] >= dropped
  # Else XLA's CPU code keeps the words in the mask's place, and compares again.
  return jax.lax.optimization_barrier(keep)
