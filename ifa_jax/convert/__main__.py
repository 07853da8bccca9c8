"""The command `python -m ifa_jax.convert VERB --flags`."""

from ifa_jax.cli import app

VERBS = (
  "huggingface",
  "deepke",
  "vilbert",
  "mkgformer",
  "hvformer",
  "export",
)


def run() -> None:
  """Runs the conversion that the first argument names."""
  app.run_verb("ifa_jax.convert", {verb: f"commands.{verb}" for verb in VERBS})


if __name__ == "__main__":
  run()
