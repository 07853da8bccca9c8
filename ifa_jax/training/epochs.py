"""Which rows the updates of a run see, in steps, epochs and examples."""

import numpy as np

from ifa_jax.data.pipeline import sampling
from ifa_jax.training.experiment import Experiment


class Epochs:
  """The course of an experiment's training.

  Steps are counted from 1, since `step` is how many were made; epochs from 0.
  """

  def __init__(self, experiment: Experiment):
    """Takes the sizes of a run from its experiment."""
    self._seed = experiment.config["seed"]
    self._size = experiment.config["train"]["batch_size"]
    self._num_rows = experiment.num_rows("train")
    self._length = experiment.steps_per_epoch
    self._num_steps = experiment.num_steps

  def rows_left(self, step: int, epoch: int) -> np.ndarray:
    """Returns the rows of an epoch's batches behind `step`, int64[n, B]."""
    rows = sampling.training_order(
      self._num_rows, self._size, self._seed, epoch
    )
    start = epoch * self._length
    return rows[step - start : self._num_steps - start]

  def ends_with(self, step: int) -> bool:
    """Whether an epoch, or the run, ends with a step."""
    return step % self._length == 0 or step == self._num_steps

  def real_rows(self, step: int) -> int:
    """Returns how many rows of the batch that made `step` are no filler."""
    if step % self._length:
      return self._size
    return self._num_rows % self._size or self._size

  def num_examples(self, step: int) -> int:
    """Returns how many rows the first `step` updates see."""
    epochs, rest = divmod(step, self._length)
    return epochs * self._num_rows + rest * self._size
