"""Packed texts: the tokens of a batch in one sequence, without padding.

A third of a padded batch of posts is padding. Only attention needs one text per
row; all else in a text layer works on single tokens, and so on packed ones.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ifa_jax.batch import Batch


class Packing(NamedTuple):
  """The places of a batch's tokens in a sequence of length N, and back.

  Attributes:
    tokens: int32[N], each token's index in [B * T], text by text; B * T where
      the sequence is not filled.
    indices: int32[B, T], each token's place in [0, N); N for padding.
  """

  tokens: jax.Array
  indices: jax.Array

  def pack(self, x: jax.Array) -> jax.Array:
    """Maps float[B, T, ...] to float[N, ...], 0 where it is not filled."""
    flat = x.reshape(-1, *x.shape[2:])
    return _move(flat, self.tokens, self.indices.reshape(-1))

  def unpack(self, x: jax.Array) -> jax.Array:
    """Maps float[N, ...] to float[B, T, ...], 0 in padding."""
    flat = _move(x, self.indices.reshape(-1), self.tokens)
    return flat.reshape(*self.indices.shape, *x.shape[1:])

  def ids(self, x: jax.Array) -> jax.Array:
    """Maps int32[B, T] to int32[N], 0 where it is not filled."""
    return _take(x.reshape(-1), self.tokens)

  def positions(self) -> jax.Array:
    """Returns the position of each packed token in its text, int32[N]."""
    return self.tokens % self.indices.shape[1]

  def read(self, x: jax.Array, positions: jax.Array) -> jax.Array:
    """Reads float[N, D] at positions int32[B, R]: float[B, R, D]."""
    return _take(x, jnp.take_along_axis(self.indices, positions, axis=1))


def packing_of(batch: Batch) -> Packing | None:
  """Returns the packing of a batch, or None if it is not to be packed."""
  if batch.packed is None:
    return None
  shape, count = batch.input_ids.shape, len(batch.packed)
  indices = jnp.full(shape[0] * shape[1], count, jnp.int32)
  order = jnp.arange(count, dtype=jnp.int32)
  # Unfilled places have index B * T, which "drop" ignores.
  indices = indices.at[batch.packed].set(order, mode="drop")
  return Packing(batch.packed, indices.reshape(shape))


def _take(x: jax.Array, indices: jax.Array) -> jax.Array:
  """Reads x[n, ...] at ints in [0, n]; index n reads 0."""
  return jnp.take(x, indices, axis=0, mode="fill", fill_value=0)


@jax.custom_vjp
def _move(x: jax.Array, indices: jax.Array, inverse: jax.Array) -> jax.Array:
  """Reads float[n, ...] at int32[m]; `inverse`, int32[n], moves them back."""
  del inverse
  return _take(x, indices)


# JAX would derive a scatter-add, which adds rows one by one and takes a CPU
# many times as long as this gather.
_move.defvjp(
  lambda x, indices, inverse: (_take(x, indices), inverse),
  lambda inverse, grad: (_take(grad, inverse), None, None),
)
