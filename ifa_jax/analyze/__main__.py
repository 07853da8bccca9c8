"""The command `python -m ifa_jax.analyze VERB --flags`."""

from ifa_jax.cli import app
from ifa_jax.runtime import malloc

VERBS = (
  "leak",
  "audit",
  "shuffle",
  "names",
  "objects",
  "compare",
  "alignment",
  "table1",
  "table2",
  "pack",
)


def run() -> None:
  """Runs the analysis that the first argument names."""
  # table1 and table2 train. No verb, and so neither numpy nor JAX, is imported
  # yet.
  malloc.keep_freed_memory()
  app.run_verb("ifa_jax.analyze", {verb: f"{verb}.command" for verb in VERBS})


if __name__ == "__main__":
  run()
