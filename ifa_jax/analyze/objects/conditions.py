"""Predictions of a run with changed objects.

standard          the test split unchanged
no objects        all objects absent
without repeats   objects that repeat another one are absent
doubled           every object again, as far as there are slots
exchanged         the objects of another row, a permutation per seed
mislabelled       each object with the vector of another label, drawn per seed
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.analyze.objects import changes, labels
from ifa_jax.analyze.objects.found import Objects
from ifa_jax.batch import Batch
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.data.pipeline.sampling import Shuffle
from ifa_jax.training import evaluation
from ifa_jax.training.epochs import pictures, shuffled_rows
from ifa_jax.training.evaluation import Predictions
from ifa_jax.training.experiment import Experiment


class Changed(NamedTuple):
  """A split's predictions under one condition.

  Attributes:
    name: as in the table.
    predictions: one, or one per seed.
    seeds: of permutations or labels; empty if nothing is drawn.
    changed: share of rows whose objects change, mean over seeds.
  """

  name: str
  predictions: list[Predictions]
  seeds: tuple[int, ...] = ()
  changed: float = 0.0

  @property
  def predicted(self) -> np.ndarray:
    """int[S, n] relation ids, a line per seed."""
    return np.stack([found.predicted for found in self.predictions])


class Conditions:
  """Predicts a split under each condition with one compiled function."""

  def __init__(self, built: Experiment, params: Any, split: Split):
    """Compiles nothing yet; parameters are on the devices."""
    self._built, self._params, self._split = built, params, split
    self._evaluator = evaluation.Evaluator(built)
    self._order = sampling.evaluation_order(len(split), built.eval_rows)

  def all(self, objects: Objects, num_seeds: int) -> Iterator[Changed]:
    """Yields every condition that the model can have, standard first."""
    yield Changed("standard", [self._predict()])
    for name, make in (
      ("no objects", changes.dropped),
      ("without repeats", changes.without_repeats),
      ("doubled", changes.doubled),
    ):
      sources = make(objects)
      found = self._rearranged(sources)
      yield Changed(name, [found], changed=changes.changed(objects, sources))
    yield self._exchanged(objects, num_seeds)
    if labels.are_read(self._built, self._split):
      yield self._mislabelled(objects, num_seeds)

  def _predict(
    self,
    rows: np.ndarray | None = None,
    change: Callable[[Batch], Batch] = lambda batch: batch,
  ) -> Predictions:
    predict = self._evaluator.predict
    return predict(self._params, self._split, rows, change)

  def _rearranged(self, sources: changes.Sources) -> Predictions:
    by_batch = changes.rearranged(self._order, sources)
    return self._predict(
      change=lambda batch: changes.rearrange(batch, next(by_batch))
    )

  def _exchanged(self, objects: Objects, num_seeds: int) -> Changed:
    seeds, names = tuple(range(num_seeds)), np.array(pictures(self._split))
    has_any = np.array([bool(row) for row in objects.rows])
    found, moved = [], []
    for seed in seeds:
      rows = shuffled_rows(self._built.data, self._split, seed, Shuffle())
      own = self._built.data.batches(self._split, self._order)
      keep = lambda batch, own=own: changes.keep_picture(  # noqa: E731
        batch, next(own), objects.kept
      )
      found.append(self._predict(rows, keep))
      moved.append((names[rows] != names) & (has_any | has_any[rows]))
    return Changed("exchanged", found, seeds, float(np.mean(moved)))

  def _mislabelled(self, objects: Objects, num_seeds: int) -> Changed:
    seeds = tuple(range(num_seeds))
    vectors = labels.Vectors(self._built, self._split, objects)
    found = []
    for seed in seeds:
      drawn = map(vectors.draw(seed).__getitem__, np.maximum(self._order, 0))
      change = functools.partial(labels.replace, drawn)
      found.append(self._predict(change=change))
    return Changed("mislabelled", found, seeds, vectors.changed)
