"""Matrix products with explicit gradients, and fused attention.

Products are computed in the model's dtype and accumulated in float32. XLA's CPU
backend has bfloat16 kernels three times as fast as its float32 kernels, but
only where the left operand is row-major in the summed axis and the result is
float32; it converts everything else to float32 first. The gradients that JAX
derives fall into that second case, so they are written out here.

Because of `custom_vjp`, forward mode works for a gradient
(`jax.jvp(jax.grad(f), ...)`, `jax.hessian(f)`), but not for a model itself:
`jax.jvp`, `jax.jacfwd` and `jax.linearize` raise a TypeError that names
`custom_vjp`. `jax.vjp` and `jax.jacrev` give the same numbers.
"""

import functools
import math
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

# Products that a layer keeps for its backward pass have this name.
KEPT = "product"

# An environment variable, since the machine decides whether its kernels work.
# Off unless it is 1: the kernel has not run on a device here yet.
_SWITCH = "IFA_FUSED_ATTENTION"
# Logits of fewer queries are a small array, which is not worth a kernel.
_MIN_QUERIES = 8
# cuDNN subtracts masked logits from each other, so they must not be huge.
_LOWEST_BIAS = -1e9


def _with_gradient(gradient: Callable[[Any, jax.Array], Any]) -> Callable:
  """Decorates a function with its gradient: (arguments, cotangent) -> each."""

  def decorate(function):
    differentiable = jax.custom_vjp(function)
    differentiable.defvjp(lambda *args: (function(*args), args), gradient)
    return differentiable

  return decorate


def _linear_gradient(args, grad):
  x, kernel, bias = args
  # bfloat16 gradients of thousands of rows are added up, and kept, in float32.
  from_bias = None if bias is None else jnp.sum(grad, 0, dtype=bias.dtype)
  return (
    _product_with_rows(grad, kernel.astype(x.dtype), x.dtype),
    _product_of_columns(x, grad, kernel.dtype),
    from_bias,
  )


@_with_gradient(_linear_gradient)
def linear(
  x: jax.Array, kernel: jax.Array, bias: jax.Array | None
) -> jax.Array:
  """Returns x kernel + bias, float[n, F], in the dtype of x.

  Args:
    x: float[n, D].
    kernel: float32[D, F]; its gradient is not rounded to the dtype of x.
    bias: float32[F], likewise, or None.
  """
  out = _product(x, kernel.astype(x.dtype), x.dtype)
  return out if bias is None else out + bias.astype(x.dtype)


def _compare_gradient(args, grad):
  query, key = args
  grad = grad.astype(query.dtype)
  return (
    _product(grad, key, query.dtype),
    _product_of_columns(grad, query, key.dtype),
  )


@_with_gradient(_compare_gradient)
def compare(query: jax.Array, key: jax.Array) -> jax.Array:
  """Multiplies float[B, N, Q, H] and float[B, N, S, H]: float32[B, N, Q, S]."""
  return _product_with_rows(query, key, jnp.float32)


def _mix_gradient(args, grad):
  shares, value = args
  grad = grad.astype(value.dtype)
  return (
    _product_with_rows(grad, value, shares.dtype),
    _product_of_columns(shares, grad, value.dtype),
  )


@_with_gradient(_mix_gradient)
def mix(shares: jax.Array, value: jax.Array) -> jax.Array:
  """Multiplies float[B, N, Q, S] and float[B, N, S, H]: float32[B, N, Q, H]."""
  return _product(shares, value, jnp.float32)


def attend_fused(
  query: jax.Array,
  key: jax.Array,
  value: jax.Array,
  key_bias: jax.Array | None,
  num_heads: int,
) -> jax.Array | None:
  """Attends with cuDNN's kernel, which writes no array of [B, N, Q, S].

  Args:
    query: float[B, Q, D], not scaled.
    key: float[B, S, D].
    value: float[B, S, D].
    key_bias: float32[B, S], added to the logits, or None.
    num_heads: N.

  Returns:
    float[B, Q, D], heads concatenated; None where there is no such kernel:
    outside of NVIDIA's GPUs, and for float32 and unusual widths of heads; and
    unless `IFA_FUSED_ATTENTION` is 1.
  """
  length = query.shape[1]
  if length < _MIN_QUERIES or not _has_kernel():
    return None
  query, key, value = (
    x.reshape(*x.shape[:2], num_heads, -1) for x in (query, key, value)
  )
  bias = None
  if key_bias is not None:
    bias = jnp.maximum(key_bias, _LOWEST_BIAS).astype(query.dtype)
    query, key, value, bias = _pad_for_bias(query, key, value, bias)
  attend = functools.partial(
    jax.nn.dot_product_attention, implementation="cudnn"
  )
  try:
    attended = attend(query, key, value, bias)[:, :length]
  # JAX knows the limits of the kernel; NotImplementedError is one of these.
  except RuntimeError:
    return None
  return attended.reshape(*attended.shape[:2], -1)


def _has_kernel() -> bool:
  """Whether the switch is on and the device is NVIDIA's, since Ampere."""
  if os.environ.get(_SWITCH) != "1":
    return False
  # AMD's are names, such as "gfx942", and other devices have none.
  capability = getattr(jax.devices()[0], "compute_capability", "")
  return capability[:1].isdigit() and float(capability) >= 8


def _pad_for_bias(
  query: jax.Array, key: jax.Array, value: jax.Array, bias: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
  """Pads lengths as cuDNN needs them; returns the bias as [B, 1, Q, S]."""
  queries, keys = (-x.shape[1] % 2 for x in (query, key))
  # Gradients of 64 keys more than a multiple of 128 can be NaN
  # (github.com/pytorch/pytorch/issues/196678).
  if (key.shape[1] + keys) % 128 == 64:
    keys += 2
  pad = lambda x, n: jnp.pad(x, ((0, 0), (0, n), (0, 0), (0, 0)))  # noqa: E731
  query, key, value = pad(query, queries), pad(key, keys), pad(value, keys)
  bias = jnp.pad(bias, ((0, 0), (0, keys)), constant_values=_LOWEST_BIAS)
  shape = (len(bias), 1, query.shape[1], key.shape[1])
  return query, key, value, jnp.broadcast_to(bias[:, None, None], shape)


@jax.custom_vjp
def keep(x: jax.Array) -> jax.Array:
  """Marks an array to be kept for the backward pass, not recomputed."""
  if x.dtype.itemsize != 2:
    return checkpoint_name(x, KEPT)
  # 16-bit floats are kept as integers: XLA's CPU code would otherwise convert
  # the kept arrays of all layers to float32 and back in every layer.
  bits = jax.lax.bitcast_convert_type(x, jnp.uint16)
  return jax.lax.bitcast_convert_type(checkpoint_name(bits, KEPT), x.dtype)


# A bitcast has no gradient of its own, so the identity's is given.
keep.defvjp(
  lambda x: (keep.fun(x), None),  # pyright: ignore[reportAttributeAccessIssue]
  lambda _, grad: (grad,),
)


def _product(x: jax.Array, y: jax.Array, dtype: Any) -> jax.Array:
  """Returns x y: float[..., n, k] times float[..., k, m]."""
  return _contract(x, y, -1, -2, dtype)


def _product_with_rows(x: jax.Array, y: jax.Array, dtype: Any) -> jax.Array:
  """Returns x y^T: float[..., n, k] times float[..., m, k]."""
  return _contract(x, y, -1, -1, dtype)


def _product_of_columns(x: jax.Array, y: jax.Array, dtype: Any) -> jax.Array:
  """Returns x^T y: float[..., k, n] times float[..., k, m]."""
  direct = functools.partial(_contract, x_axis=-2, y_axis=-2, dtype=dtype)
  if x.dtype == jnp.float32:
    return direct(x, y)
  # The fast bfloat16 kernels need x^T in memory; accelerators do not.
  transposed = functools.partial(_transposed_product, dtype=dtype)
  return jax.lax.platform_dependent(x, y, cpu=transposed, default=direct)


def _transposed_product(x: jax.Array, y: jax.Array, dtype: Any) -> jax.Array:
  """Returns x^T y as a product of rows; transposes the smaller operand."""
  if x.shape[-1] <= y.shape[-1]:
    return _product(_transpose(x), y, dtype)
  return _transpose(_product(_transpose(y), x, dtype))


def _transpose(x: jax.Array) -> jax.Array:
  """Returns x^T in memory."""
  # XLA would fold a plain transpose into the product. It does not fold one that
  # moves blocks of columns.
  *batch, rows, columns = x.shape
  block = math.gcd(columns, 8)
  blocks = x.reshape(*batch, rows, columns // block, block)
  return jnp.moveaxis(blocks, -3, -1).reshape(*batch, columns, rows)


def _contract(
  x: jax.Array, y: jax.Array, x_axis: int, y_axis: int, dtype: Any
) -> jax.Array:
  """Multiplies stacks of matrices, summing over one axis of each."""
  batch = tuple(range(x.ndim - 2))
  summed = (x.ndim + x_axis,), (y.ndim + y_axis,)
  multiply = functools.partial(
    jax.lax.dot_general, dimension_numbers=(summed, (batch, batch))
  )
  if x.dtype == jnp.float32 or dtype == jnp.float32:
    return multiply(x, y, preferred_element_type=dtype)
  # XLA's fast CPU kernels return float32 only.
  in_float32 = functools.partial(multiply, preferred_element_type=jnp.float32)
  return jax.lax.platform_dependent(
    x, y, cpu=lambda x, y: in_float32(x, y).astype(dtype), default=multiply
  )
