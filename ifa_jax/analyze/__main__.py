"""The command `python -m ifa_jax.analyze VERB --flags`."""

from ifa_jax import command

VERBS = ("leak", "audit", "shuffle", "compare", "alignment", "table2")


def run() -> None:
  """Runs the analysis that the first argument names."""
  command.run_verb("ifa_jax.analyze", {verb: verb for verb in VERBS})


if __name__ == "__main__":
  run()
