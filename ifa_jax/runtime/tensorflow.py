"""TensorFlow, loaded without Keras: reading records needs none of it."""

from ifa_jax.runtime import optional_imports

with optional_imports.without("keras"):
  import tensorflow as tf

__all__ = ["tf"]
