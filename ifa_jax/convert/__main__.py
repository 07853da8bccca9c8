"""The command `python -m ifa_jax.convert VERB --flags`."""

from ifa_jax import command

VERBS = ("huggingface", "deepke", "vilbert", "export")


def run() -> None:
  """Runs the conversion that the first argument names."""
  command.run_verb("ifa_jax.convert", {verb: f"verb_{verb}" for verb in VERBS})


if __name__ == "__main__":
  run()
