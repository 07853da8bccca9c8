"""`python -m data_prep.objects`: see `ifa_jax.preparation.objects`."""

from ifa_jax.cli import app

if __name__ == "__main__":
  app.run_module("ifa_jax.preparation.objects.command")
