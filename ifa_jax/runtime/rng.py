"""PRNG keys of a run: a function of its seed, a purpose and a step."""

import jax

# Purposes that the root key is folded with, so that no two share a stream.
INIT, DROPOUT = 0, 1


def purpose_key(seed: int, purpose: int) -> jax.Array:
  """Returns the PRNG key of a purpose, from the config's seed."""
  return jax.random.fold_in(jax.random.key(seed), purpose)


def dropout_key(seed: int, step: jax.Array | int) -> jax.Array:
  """Returns the PRNG key of the update that follows `step` others."""
  return jax.random.fold_in(purpose_key(seed, DROPOUT), step)
