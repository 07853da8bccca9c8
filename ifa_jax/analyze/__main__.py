"""The command `python -m ifa_jax.analyze VERB --flags`."""

from ifa_jax import command
from ifa_jax.analyze import shuffle

if __name__ == "__main__":
  command.run_verb({"shuffle": shuffle})
