"""`python -m data_prep.published_boxes`; see `preparation.published_boxes`."""

from ifa_jax.cli import app

if __name__ == "__main__":
  app.run_module("ifa_jax.preparation.published_boxes.command")
