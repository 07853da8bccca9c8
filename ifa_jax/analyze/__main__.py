"""The command `python -m ifa_jax.analyze VERB --flags`."""

from ifa_jax.cli import app
from ifa_jax.runtime import malloc

VERBS = {
  "leak": "tests whether crops, or words of the queries, reveal the label",
  "audit": "finds the counts that round to a printed row of scores",
  "shuffle": "scores a run on the pictures of other posts, and without any",
  "names": "scores a run on posts with other names of entities",
  "objects": "scores a run with objects left out, doubled or exchanged",
  "compare": "compares systems by their predictions, with intervals",
  "alignment": "draws the attention of each word",
  "table1": "trains systems and scores them under visual shuffles",
  "table2": "trains systems and compares them with published figures",
  "pack": "packs the predictions of runs, without texts",
}


def run() -> None:
  """Runs the analysis that the first argument names."""
  # table1 and table2 train. No verb, and so neither numpy nor JAX, is imported
  # yet.
  malloc.keep_freed_memory()
  app.run_verb(
    "ifa_jax.analyze",
    {verb: app.Verb(f"{verb}.command", line) for verb, line in VERBS.items()},
  )


if __name__ == "__main__":
  run()
