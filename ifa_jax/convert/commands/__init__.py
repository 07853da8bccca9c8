"""The verbs of `python -m ifa_jax.convert`, modules or objects of `converters`."""
