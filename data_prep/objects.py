"""`python -m data_prep.objects`: `ifa_jax.preparation.objects`."""

from ifa_jax import command

if __name__ == "__main__":
  command.run_module("ifa_jax.preparation.objects")
