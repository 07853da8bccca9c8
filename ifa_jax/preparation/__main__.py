"""The command `ifa-prepare VERB --flags`."""

from ifa_jax.cli import app

VERBS = (
  "mnre",
  "objects",
  "captions",
  "published_boxes",
  "scenes",
  "mnre1_graphs",
  "quickstart",
)


def run() -> None:
  """Runs the command that the first argument names."""
  verbs = {verb: f"{verb}.command" for verb in VERBS}
  app.run_verb("ifa_jax.preparation", verbs)


if __name__ == "__main__":
  run()
