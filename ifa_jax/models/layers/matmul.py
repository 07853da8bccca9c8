"""Products of matrices and their gradients, written out.

Products take what a model computes in and add up in float32. XLA's CPU code
has kernels for bfloat16 that are three times as fast as those for float32, but
only where the left matrix lies row by row in what is summed over and the
outcome is float32; all else it turns into float32 first. What JAX derives is
all else, so gradients are spelled out here.

They are spelled out for reverse mode. Forward mode of a gradient
(`jax.jvp(jax.grad(f), ...)`, `jax.hessian(f)`) works; forward mode of a model
itself (`jax.jvp`, `jax.jacfwd`, `jax.linearize`) is a TypeError of JAX's that
names `custom_vjp`: `jax.vjp` and `jax.jacrev` give the same numbers.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

# Products that a layer keeps for its backward pass have this name.
KEPT = "product"


@jax.custom_vjp
def linear(
  x: jax.Array, kernel: jax.Array, bias: jax.Array | None
) -> jax.Array:
  """Returns x kernel + bias, float[n, F], in the dtype of x.

  Args:
    x: float[n, D].
    kernel: float32[D, F], whose gradient is not rounded to the dtype of x.
    bias: float32[F], likewise, or None.
  """
  out = _product(x, kernel.astype(x.dtype), x.dtype)
  return out if bias is None else out + bias.astype(x.dtype)


def _linear_gradient(kept, grad):
  x, kernel, bias = kept
  from_bias = None if bias is None else jnp.sum(grad, 0, dtype=bias.dtype)
  return (
    _product_with_rows(grad, kernel.astype(x.dtype), x.dtype),
    _product_of_columns(x, grad, kernel.dtype),
    from_bias,
  )


linear.defvjp(
  lambda *args: (linear.fun(*args), args),  # pyright: ignore[reportAttributeAccessIssue]
  _linear_gradient,
)


@jax.custom_vjp
def compare(query: jax.Array, key: jax.Array) -> jax.Array:
  """Multiplies float[B, N, Q, H] and float[B, N, S, H]: float32[B, N, Q, S]."""
  return _product_with_rows(query, key, jnp.float32)


def _compare_gradient(kept, grad):
  query, key = kept
  grad = grad.astype(query.dtype)
  return (
    _product(grad, key, query.dtype),
    _product_of_columns(grad, query, key.dtype),
  )


compare.defvjp(
  lambda *args: (compare.fun(*args), args),  # pyright: ignore[reportAttributeAccessIssue]
  _compare_gradient,
)


@jax.custom_vjp
def mix(shares: jax.Array, value: jax.Array) -> jax.Array:
  """Multiplies float[B, N, Q, S] and float[B, N, S, H]: float32[B, N, Q, H]."""
  return _product(shares, value, jnp.float32)


def _mix_gradient(kept, grad):
  shares, value = kept
  grad = grad.astype(value.dtype)
  return (
    _product_with_rows(grad, value, shares.dtype),
    _product_of_columns(shares, grad, value.dtype),
  )


mix.defvjp(
  lambda *args: (mix.fun(*args), args),  # pyright: ignore[reportAttributeAccessIssue]
  _mix_gradient,
)


@jax.custom_vjp
def keep(x: jax.Array) -> jax.Array:
  """Marks what the backward pass of a layer reads, and does not compute anew.

  Numbers of 16 bits are kept as integers: XLA's CPU code would turn the whole
  of what is kept of all layers into float32 and back, layer after layer.
  """
  if x.dtype.itemsize != 2:
    return checkpoint_name(x, KEPT)
  bits = jax.lax.bitcast_convert_type(x, jnp.uint16)
  return jax.lax.bitcast_convert_type(checkpoint_name(bits, KEPT), x.dtype)


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
  as_they_are = functools.partial(_contract, x_axis=-2, y_axis=-2, dtype=dtype)
  if x.dtype == jnp.float32:
    return as_they_are(x, y)
  turned = functools.partial(_turned_product, dtype=dtype)
  return jax.lax.platform_dependent(x, y, cpu=turned, default=as_they_are)


def _turned_product(x: jax.Array, y: jax.Array, dtype: Any) -> jax.Array:
  """Returns x^T y as a product of rows, and turns the smaller of the two."""
  if x.shape[-1] <= y.shape[-1]:
    return _product(_turned(x), y, dtype)
  return _turned(_product(_turned(y), x, dtype))


def _turned(x: jax.Array) -> jax.Array:
  """Returns x^T in memory, which XLA does not take back into a product."""
  *batch, rows, columns = x.shape
  part = math.gcd(columns, 8)
  cut = x.reshape(*batch, rows, columns // part, part)
  moved = jnp.moveaxis(cut, -3, -1)
  return moved.reshape(*batch, columns, rows)


def _contract(
  x: jax.Array, y: jax.Array, x_axis: int, y_axis: int, dtype: Any
) -> jax.Array:
  """Multiplies matrices behind equal leading axes; sums over one of each."""
  batch = tuple(range(x.ndim - 2))
  summed = (x.ndim + x_axis,), (y.ndim + y_axis,)
  multiply = functools.partial(
    jax.lax.dot_general, dimension_numbers=(summed, (batch, batch))
  )
  if x.dtype == jnp.float32 or dtype == jnp.float32:
    return multiply(x, y, preferred_element_type=dtype)
  in_float32 = functools.partial(multiply, preferred_element_type=jnp.float32)
  return jax.lax.platform_dependent(
    x, y, cpu=lambda x, y: in_float32(x, y).astype(dtype), default=multiply
  )
