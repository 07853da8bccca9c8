"""`python -m data_prep.captions`: see `ifa_jax.preparation.captions`."""

from ifa_jax.cli import app

if __name__ == "__main__":
  app.run_module("ifa_jax.preparation.captions.command")
