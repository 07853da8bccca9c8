"""`python -m data_prep.scenes`: see `ifa_jax.preparation.scenes`."""

from ifa_jax.cli import app

if __name__ == "__main__":
  app.run_module("ifa_jax.preparation.scenes.command")
