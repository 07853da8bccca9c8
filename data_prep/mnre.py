"""`python -m data_prep.mnre`: see `ifa_jax.preparation.mnre`."""

from ifa_jax.cli import app

if __name__ == "__main__":
  app.run_module("ifa_jax.preparation.mnre.command")
