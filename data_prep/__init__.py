"""Commands that prepare data; their code is `ifa_jax.preparation`."""
