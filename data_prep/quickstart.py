"""`python -m data_prep.quickstart`: `ifa_jax.preparation.quickstart`."""

from ifa_jax import command

if __name__ == "__main__":
  command.run_module("ifa_jax.preparation.quickstart")
