"""The verbs of `python -m ifa_jax.convert`, a module each."""
