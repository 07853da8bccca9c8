"""TensorFlow without Keras, which reading records does not need."""

from ifa_jax.runtime import optional_imports

with optional_imports.without("keras"):
  import tensorflow as tf

__all__ = ["tf"]
