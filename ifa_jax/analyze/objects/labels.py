"""Objects with the vectors of other labels, where a model reads labels."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from ifa_jax.analyze.objects.found import Objects
from ifa_jax.batch import Batch
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.data.scenes import fallbacks
from ifa_jax.training.experiment import Experiment

NOT_READ = (
  "mislabelled objects are left out: the model reads features of objects, not"
  " the vectors of their labels"
)


def are_read(built: Experiment, split: Split) -> bool:
  """Returns whether objects are the vectors of their labels."""
  if built.config.model.regions is None:
    return False
  counts = built.data.inputs.region_reader(split).counts
  return fallbacks.LABEL_VECTORS in counts


class Vectors:
  """The vectors of a split's objects and of all labels.

  Attributes:
    changed: share of rows with an object of a label.
  """

  def __init__(self, built: Experiment, split: Split, objects: Objects):
    """Reads every row once."""
    reader = built.data.inputs.region_reader(split)
    rows = np.arange(len(split))
    self._own = reader(rows, rows)["regions"]
    self._labelled = [
      (row, item.slot, item.label)
      for row, items in enumerate(objects.rows)
      for item in items
      if item.label
    ]
    self._by_label = {
      label: self._own[row, slot] for row, slot, label in self._labelled
    }
    self.changed = len({row for row, *_ in self._labelled}) / len(split)

  def draw(self, seed: int) -> np.ndarray:
    """Returns float32[n, M, Dv], each labelled object with another label.

    Raises:
      ValueError: if all objects have one label.
    """
    rng, names = np.random.default_rng(seed), [*self._by_label]
    if len(names) < 2:
      raise ValueError(f"scenes: expected several labels, got {names}")
    number = {name: i for i, name in enumerate(names)}
    drawn = self._own.copy()
    for row, slot, label in self._labelled:
      step = rng.integers(1, len(names))
      other = names[(number[label] + step) % len(names)]
      drawn[row, slot] = self._by_label[other]
    return drawn


def replace(drawn: Iterator[np.ndarray], batch: Batch) -> Batch:
  """Returns a batch with the next vectors, float32[B, M, Dv]."""
  return dataclasses.replace(batch, regions=next(drawn))
