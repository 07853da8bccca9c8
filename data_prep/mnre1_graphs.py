"""`python -m data_prep.mnre1_graphs`: `ifa_jax.preparation.mnre1_graphs`."""

from ifa_jax import command

if __name__ == "__main__":
  command.run_module("ifa_jax.preparation.mnre1_graphs")
