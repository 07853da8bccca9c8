"""TensorFlow, loaded without Keras: reading records needs none of it."""

from ifa_jax import lean_imports

with lean_imports.without("keras"):
  import tensorflow as tf

__all__ = ["tf"]
