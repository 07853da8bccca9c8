"""Two systems on the same rows, and comparisons of a few more."""

import predicted

from ifa_jax.analyze.compare import command
from ifa_jax.statistics import systems

NUM_ROWS = 120
GOLD = predicted.random_names(NUM_ROWS, seed=0)
# Predictions by three seeds of one system and two of another.
PREDS = {
  "a": [predicted.random_names(NUM_ROWS, s, GOLD, 0.5) for s in (1, 2, 3)],
  "b": [predicted.random_names(NUM_ROWS, s, GOLD, 0.8) for s in (4, 5)],
}


def write(folder, name, preds, gold=GOLD, **same):
  """Writes a file for each seed; returns the system's word."""
  paths = [
    predicted.write(
      folder / f"{name}{i}.jsonl",
      predicted.lines(gold, pred, **{"protocol": "clean", **same}),
    )
    for i, pred in enumerate(preds)
  ]
  return f"{name}={','.join(paths)}"


def compared(folder, gold, *preds, **same):
  """Compares systems of one seed each, called s0, s1, ..."""
  words = [
    write(folder, f"s{i}", [pred], gold, **same) for i, pred in enumerate(preds)
  ]
  return command.compare(systems.read(words))
