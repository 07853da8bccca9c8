"""The command `ifa-prepare VERB --flags`."""

from ifa_jax.cli import app

VERBS = ("mnre", "objects", "scenes", "mnre1_graphs", "quickstart")


def run() -> None:
  """Runs the command that the first argument names."""
  app.run_verb(
    "ifa_jax.preparation", {verb: f"{verb}.command" for verb in VERBS}
  )


if __name__ == "__main__":
  run()
