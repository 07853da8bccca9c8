"""The verbs of `python -m ifa_jax.convert`, as modules or objects."""
