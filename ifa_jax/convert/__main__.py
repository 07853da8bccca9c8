"""The command `python -m ifa_jax.convert VERB --flags`."""

from ifa_jax.cli import app

CONVERTERS = ("huggingface", "deepke", "vilbert", "mkgformer", "hvformer")


def run() -> None:
  """Runs the conversion that the first argument names."""
  verbs = {verb: f"converters:{verb.upper()}" for verb in CONVERTERS}
  app.run_verb("ifa_jax.convert.commands", verbs | {"export": "export"})


if __name__ == "__main__":
  run()
