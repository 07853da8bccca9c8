"""`python -m data_prep.scenes`: `ifa_jax.preparation.scenes`."""

from ifa_jax import command

if __name__ == "__main__":
  command.run_module("ifa_jax.preparation.scenes")
