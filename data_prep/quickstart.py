"""`python -m data_prep.quickstart`: see `ifa_jax.preparation.quickstart`."""

from ifa_jax.cli import app

if __name__ == "__main__":
  app.run_module("ifa_jax.preparation.quickstart.command")
