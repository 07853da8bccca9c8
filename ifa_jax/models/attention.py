"""Attention in which a stream reads another's tokens beside its own.

IFAformer (arXiv:2211.07504, equation 2) lets each stream put the other's keys
and values in front of its own, and softmaxes over both.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.models import draws

# jax.nn.gelu is the tanh form by default, 4.7e-4 off BERT's.
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  "gelu": functools.partial(jax.nn.gelu, approximate=False),
  "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
}

# Of linear layers and embedding tables, as BERT starts them.
init_kernel = draws.normal(0.02)


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
  logits = jnp.einsum(
    "BNQH,BNSH->BNQS",
    query * query.shape[-1] ** -0.5,
    key,
    preferred_element_type=jnp.float32,
  )
  logits += key_bias[:, None, None, :]
  # Softmax, divided by its sum behind the product with the values: the same
  # numbers, and half the time of jax.nn.softmax on a CPU, backward too.
  peak = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
  shares = jnp.exp(logits - peak)
  total = jnp.sum(shares, axis=-1, keepdims=True)
  values = jnp.einsum(
    "BNQS,BNSH->BNQH",
    drop(shares).astype(value.dtype),
    value,
    preferred_element_type=jnp.float32,
  )
  values = (values / total).astype(value.dtype)
  return Attended(join_heads(values), jnp.mean(shares / total, axis=1))


def product_of_rows(
  x: jax.Array, kernel: jax.Array, *args: Any, **options: Any
) -> jax.Array:
  """Returns float[..., D] times float[D, F], as one product of two matrices.

  A gradient that sums over two axes would have XLA's CPU code transpose what it
  multiplies; over one axis, it need not.
  """
  del args
  out = jax.lax.dot_general(
    x.reshape(-1, x.shape[-1]), kernel, (((1,), (0,)), ((), ())), **options
  )
  return out.reshape(*x.shape[:-1], -1)


def dense(features: int, dtype: jnp.dtype, use_bias: bool = True) -> nn.Dense:
  """Returns a linear layer with float32 parameters; `dtype` computes."""
  return nn.Dense(
    features,
    use_bias=use_bias,
    dtype=dtype,
    kernel_init=init_kernel,
    dot_general=product_of_rows,
  )


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
    self.query = dense(self.dim, self.dtype)
    self.key = dense(self.dim, self.dtype)
    self.value = dense(self.dim, self.dtype)
    self.out = dense(self.dim, self.dtype)

  def __call__(self, x: jax.Array) -> tuple[jax.Array, KeyValue]:
    """Projects float[B, S, D] to queries, keys and values (equation 1)."""
    return self.query(x), KeyValue(self.key(x), self.value(x))
