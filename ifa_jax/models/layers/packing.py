"""Texts one behind the other, without the padding between them.

A third of a padded batch of posts is padding. Only attention needs texts side
by side; all else that a text layer computes is of each token alone, and is
computed of the packed tokens.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ifa_jax.batch import Batch


class Packing(NamedTuple):
  """Where the tokens of a batch lie; N places hold them all.

  Attributes:
    tokens: int32[N], the place of each in [B * T], text by text; B * T in
      what is left.
    indices: int32[B, T], where each place's token stands among N; N of padding.
  """

  tokens: jax.Array
  indices: jax.Array

  def pack(self, x: jax.Array) -> jax.Array:
    """Maps float[B, T, ...] to float[N, ...], zero in what is left."""
    flat = x.reshape(-1, *x.shape[2:])
    return _move(flat, self.tokens, self.indices.reshape(-1))

  def unpack(self, x: jax.Array) -> jax.Array:
    """Maps float[N, ...] to float[B, T, ...], zero in padding."""
    flat = _move(x, self.indices.reshape(-1), self.tokens)
    return flat.reshape(*self.indices.shape, *x.shape[1:])

  def ids(self, x: jax.Array) -> jax.Array:
    """Maps int32[B, T] to int32[N], 0 in what is left."""
    return _take(x.reshape(-1), self.tokens)

  def positions(self) -> jax.Array:
    """Returns the position of each packed token in its text, int32[N]."""
    return self.tokens % self.indices.shape[1]

  def read(self, x: jax.Array, positions: jax.Array) -> jax.Array:
    """Reads float[N, D] at int32[B, R] of the texts: float[B, R, D]."""
    return _take(x, jnp.take_along_axis(self.indices, positions, axis=1))


def packing_of(batch: Batch) -> Packing | None:
  """Returns where a batch's tokens lie, None if it is not to be packed."""
  if batch.packed is None:
    return None
  shape = batch.input_ids.shape
  count = len(batch.packed)
  indices = jnp.full(shape[0] * shape[1], count, jnp.int32)
  order = jnp.arange(count, dtype=jnp.int32)
  indices = indices.at[batch.packed].set(order, mode="drop")
  return Packing(batch.packed, indices.reshape(shape))


def _take(x: jax.Array, there: jax.Array) -> jax.Array:
  """Reads x[n, ...] at ints in [0, n]; n reads 0."""
  return jnp.take(x, there, axis=0, mode="fill", fill_value=0)


@jax.custom_vjp
def _move(x: jax.Array, there: jax.Array, back: jax.Array) -> jax.Array:
  """Reads float[n, ...] at int32[m]; `back`, int32[n], reads them again.

  The gradient reads `back`: what JAX would do, adding up rows one by one, takes
  a CPU many times as long.
  """
  del back
  return _take(x, there)


_move.defvjp(
  lambda x, there, back: (_take(x, there), back),
  lambda back, grad: (_take(grad, back), None, None),
)
