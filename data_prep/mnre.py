"""`python -m data_prep.mnre`: `ifa_jax.preparation.mnre`."""

from ifa_jax import command

if __name__ == "__main__":
  command.run_module("ifa_jax.preparation.mnre")
