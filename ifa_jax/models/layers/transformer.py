"""Parts of a transformer layer: linear maps, norms, dropout and attention.

In IFAformer's attention (arXiv:2211.07504, equation 2) each stream prepends the
other's keys and values to its own, and takes the softmax over both.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.models.layers import matmul, scan


def _gelu(x: jax.Array) -> jax.Array:
  """The exact GELU (Hendrycks and Gimpel 2016), as in BERT."""
  # jax.nn.gelu's default is the tanh form, which differs by up to 4.7e-4; its
  # exact form uses erfc, which takes twice as long as erf on a CPU.
  return 0.5 * x * (1.0 + jax.lax.erf(x * 0.5**0.5))


def _in_float32(
  activation: Callable[[jax.Array], jax.Array],
) -> Callable[[jax.Array], jax.Array]:
  """Rounds the result of an activation only, not its intermediate values."""
  return lambda x: activation(x.astype(jnp.float32)).astype(x.dtype)


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
  "gelu": _in_float32(_gelu),
  "quick_gelu": _in_float32(lambda x: x * jax.nn.sigmoid(1.702 * x)),
}

# BERT's initializer of linear layers and embedding tables.
init_kernel = scan.normal(0.02)

# Each element of dropout uses 16 random bits.
_LEVELS = 2**16


class KeyValue(NamedTuple):
  """Keys and values that a stream lends, float[B, S, D], before head splitting.

  The querying stream splits them, so the streams' head counts may differ.
  """

  key: jax.Array
  value: jax.Array


class Attended(NamedTuple):
  """The result of attention.

  Attributes:
    values: float[B, Q, D], heads concatenated.
    weights: float32[B, Q, S], mean over heads, lent keys first.
  """

  values: jax.Array
  weights: jax.Array


def split_heads(x: jax.Array, num_heads: int) -> jax.Array:
  """Splits float[B, S, D] into float[B, N, S, H]."""
  # The head axis comes before S: XLA's CPU products are up to five times slower
  # on the layout [B, S, N, H].
  return x.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)


def join_heads(x: jax.Array) -> jax.Array:
  """Joins float[B, N, S, H] to float[B, S, D]."""
  x = x.swapaxes(1, 2)
  return x.reshape(*x.shape[:2], -1)


def scrambled_heads(x: jax.Array, num_heads: int) -> jax.Array:
  """Returns float[B, S, D] whose `split_heads` equals a plain reshape of `x`.

  The released code views the S x D block as [N, S, H] without a transpose
  (modeling_IFA.py:604, 622), which mixes tokens and heads.
  """
  batch, length, width = x.shape
  return join_heads(x.reshape(batch, num_heads, length, width // num_heads))


def mask_bias(mask: jax.Array, bias: float) -> jax.Array:
  """Maps bool[B, S] (True = real) to float32[B, S]: 0, or `bias`."""
  return jnp.where(mask, 0.0, jnp.float32(bias))


def attend(
  query: jax.Array,
  own: KeyValue,
  lent: KeyValue | None,
  key_bias: jax.Array | None,
  num_heads: int,
  drop: Callable[[jax.Array], jax.Array] | None = None,
) -> Attended:
  """Attends from one stream to lent tokens and to its own (equation 2).

  Args:
    query: float[B, Q, D].
    own: keys and values, float[B, O, D]; the querying stream's (O is Q), or
      in co-attention the other's.
    lent: further keys and values, float[B, L, D], or None.
    key_bias: float32[B, L+O], added to the attention logits; None adds nothing.
    num_heads: N of the querying stream.
    drop: dropout of the weights, float32[B, N, Q, S], or None. It is applied
      before the division by their sum, so it must scale all kept weights alike.
  """
  if lent is not None:
    own = KeyValue(
      *(jnp.concatenate(pair, axis=1) for pair in zip(lent, own, strict=True))
    )
  fused = None
  if drop is None:
    fused = matmul.attend_fused(query, *own, key_bias, num_heads)
  query, key, value = (split_heads(x, num_heads) for x in (query, *own))
  # Scaling the queries is cheaper than scaling the logits: H < S mostly.
  query = query * query.shape[-1] ** -0.5
  # Logits and weights are float32 in either dtype: bfloat16 has 8 bits, too few
  # for a softmax over hundreds of keys.
  logits = matmul.keep(matmul.compare(query, key))
  if key_bias is not None:
    logits += key_bias[:, None, None, :]
  # Softmax that divides by its sum after the product with the values. The
  # result is the same, in half the time of jax.nn.softmax on a CPU, forward and
  # backward. The peak cancels, so it needs no gradient.
  peak = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
  shares = jnp.exp(logits - peak)
  total = jnp.sum(shares, axis=-1, keepdims=True)
  # Compiled code has no weights where they are not read.
  weights = jnp.mean(shares / total, axis=1)
  if fused is not None:
    return Attended(fused, weights)
  dropped = shares if drop is None else drop(shares)
  shared = matmul.mix(dropped.astype(value.dtype), value)
  values = (matmul.keep(shared) / total).astype(value.dtype)
  return Attended(join_heads(values), weights)


class Linear(nn.Module):
  """`nn.Dense` with float32 parameters, computed in `dtype`."""

  features: int
  dtype: jnp.dtype
  use_bias: bool = True

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps float[..., D] to float[..., features]."""
    shape = x.shape[-1], self.features
    kernel = self.param("kernel", init_kernel, shape)
    bias = None
    if self.use_bias:
      zeros = nn.initializers.zeros_init()
      bias = self.param("bias", zeros, (self.features,))
    # With a single row axis, the kernel's gradient sums over one axis; over two
    # axes XLA's CPU code would transpose first.
    rows = x.astype(self.dtype).reshape(-1, x.shape[-1])
    out = matmul.linear(rows, kernel, bias)
    return matmul.keep(out.reshape(*x.shape[:-1], -1))


def layer_norm(epsilon: float, dtype: jnp.dtype) -> nn.LayerNorm:
  """Returns a LayerNorm with PyTorch's numerics and float32 statistics."""
  # Flax's default, E[x^2] - E[x]^2, loses a digit on inputs with an offset.
  return nn.LayerNorm(epsilon=epsilon, dtype=dtype, use_fast_variance=False)


class Projections(nn.Module):
  """The four projections of an attention layer: query, key, value and out.

  Attributes:
    dim: width of queries, keys and values.
    dtype: of the computation.
    out_dim: width of the stream; None: `dim`.
  """

  dim: int
  dtype: jnp.dtype
  out_dim: int | None = None

  def setup(self):
    """Declares the four linear layers."""
    self.query = Linear(self.dim, self.dtype)
    self.key = Linear(self.dim, self.dtype)
    self.value = Linear(self.dim, self.dtype)
    self.out = Linear(self.out_dim or self.dim, self.dtype)

  def __call__(self, x: jax.Array) -> tuple[jax.Array, KeyValue]:
    """Projects float[B, S, D] to queries, keys and values (equation 1)."""
    return self.query(x), KeyValue(self.key(x), self.value(x))


class Layer(nn.Module):
  """The submodules that layers of all streams have, named as weights are.

  Attributes:
    config: shape of the layer: `TextConfig`, `VisionConfig` or
      `RegionStreamConfig`.
    dtype: of the computation.
    attention_config: width, heads and dropout of the attention if they are not
      the stream's own, as in co-attention.
  """

  config: Any
  dtype: jnp.dtype
  attention_config: Any = None

  def setup(self):
    """Declares projections, two norms and the two layers of the MLP."""
    config, dtype = self.config, self.dtype
    self.attention = Projections(
      self.attention_shape.hidden_dim, dtype, config.hidden_dim
    )
    self.attention_norm = layer_norm(config.norm_epsilon, dtype)
    self.mlp_in = Linear(config.mlp_dim, dtype)
    self.mlp_out = Linear(config.hidden_dim, dtype)
    self.mlp_norm = layer_norm(config.norm_epsilon, dtype)

  @property
  def attention_shape(self) -> Any:
    """The config with the attention's width, heads and dropout."""
    return self.attention_config or self.config

  def mlp(self, x: jax.Array, extra: jax.Array | None = None) -> jax.Array:
    """Maps float[..., D] to the same, through width F.

    Args:
      x: float[..., D].
      extra: float[..., F], added before the activation.
    """
    inner = self.mlp_in(x)
    if extra is not None:
      inner += extra
    return self.mlp_out(ACTIVATIONS[self.config.activation](inner))


class Dropout(nn.Module):
  """Zeroes elements and rescales the others to keep the mean.

  On a CPU `nn.Dropout` takes a tenth of an update: it draws, and keeps for the
  backward pass, 32 bits per element. Here two elements share 32 bits, and only
  the mask is kept, one byte per element.

  Attributes:
    rate: probability of 0, rounded to a multiple of 2^-16.
  """

  rate: float

  def active(self, train: bool) -> Callable[[jax.Array], jax.Array] | None:
    """Returns the dropout of training, None if nothing is to be dropped."""
    drops = train and self.rate
    return functools.partial(self, deterministic=False) if drops else None

  def __call__(self, x: jax.Array, *, deterministic: bool) -> jax.Array:
    """Maps float[...] to the same shape; reads the PRNG stream "dropout"."""
    if deterministic or not self.rate:
      return x
    # A rate just below 1 keeps something, too.
    dropped = min(round(self.rate * _LEVELS), _LEVELS - 1)
    keep = keep_mask(self.make_rng("dropout"), dropped, x.shape)
    return jnp.where(keep, x * (_LEVELS / (_LEVELS - dropped)), 0)


def keep_mask(
  rng: jax.Array, dropped: int, shape: tuple[int, ...]
) -> jax.Array:
  """Returns bool[shape], each element False with probability dropped / 2^16.

  The mask does not depend on how the shape is sharded over devices.
  """
  length = shape[-1]
  words = jax.random.bits(rng, (*shape[:-1], -(-length // 2)), jnp.uint32)
  halves = jnp.concatenate([words & (_LEVELS - 1), words >> 16], axis=-1)
  keep = halves[..., :length] >= dropped
  # Without the barrier XLA's CPU code keeps the words for the backward pass
  # instead of the mask, and repeats the comparison.
  return jax.lax.optimization_barrier(keep)
