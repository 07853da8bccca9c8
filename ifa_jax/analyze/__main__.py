"""The command `python -m ifa_jax.analyze VERB --flags`."""

from ifa_jax import command

VERBS = ("leak", "audit", "shuffle", "compare", "alignment", "table2")

if __name__ == "__main__":
  command.run_verb("ifa_jax.analyze", {verb: verb for verb in VERBS})
