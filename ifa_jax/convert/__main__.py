"""The command `python -m ifa_jax.convert VERB --flags`."""

from ifa_jax.cli import app

VERBS = {
  "huggingface": "commands.huggingface",
  "deepke": "commands.checkpoint:DEEPKE",
  "vilbert": "commands.checkpoint:VILBERT",
  "mkgformer": "commands.checkpoint:MKGFORMER",
  "hvformer": "commands.checkpoint:HVFORMER",
  "export": "commands.export",
}


def run() -> None:
  """Runs the conversion that the first argument names."""
  app.run_verb("ifa_jax.convert", VERBS)


if __name__ == "__main__":
  run()
