"""The command `ifa-prepare VERB --flags`."""

from ifa_jax import command

VERBS = ("mnre", "objects", "scenes", "mnre1_graphs", "quickstart")


def run() -> None:
  """Runs the command that the first argument names."""
  command.run_verb("ifa_jax.preparation", {verb: verb for verb in VERBS})


if __name__ == "__main__":
  run()
