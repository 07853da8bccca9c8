"""`python -m data_prep.mnre1_graphs`; see `preparation.mnre1_graphs`."""

from ifa_jax.cli import app

if __name__ == "__main__":
  app.run_module("ifa_jax.preparation.mnre1_graphs.command")
