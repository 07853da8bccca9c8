"""Steps and epochs of a run: its rows in order, and whose pictures they get."""

from typing import TYPE_CHECKING

import numpy as np

from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.sampling import Shuffle
from ifa_jax.training.batch_source import BatchSource
from ifa_jax.training.config.run_config import DataConfig, RunConfig

if TYPE_CHECKING:
  from ifa_jax.data.pipeline.dataset import Split


class Epochs:
  """The course of a run's training.

  Steps are counted from 1, since `step` is how many were made; epochs from 0.

  Attributes:
    length: updates in an epoch; the last batch may be partly filler.
    num_steps: updates in the whole run: all epochs, or `train.max_steps` if
      that is not 0.
    schedule_steps: updates until the learning rate is 0: all of them; with
      `optim.whole_batches` as OpenNRE counts them, which leaves out the batch
      at an epoch's end that is not full.
  """

  def __init__(self, config: RunConfig, num_rows: int):
    """Counts.

    Args:
      config: of the run.
      num_rows: of the training split.
    """
    self._seed, self._train = config.seed, config.train
    self._size, self._num_rows = config.train.batch_size, num_rows
    self.length = sampling.num_batches(num_rows, self._size)
    whole = max(1, num_rows // self._size)
    self.num_steps = self._capped(self.length)
    self.schedule_steps = self._capped(
      whole if config.optim.whole_batches else self.length
    )

  def _capped(self, steps_per_epoch: int) -> int:
    steps = self._train.total_epochs * steps_per_epoch
    return min(steps, self._train.max_steps or steps)

  def rows_left(self, step: int, epoch: int) -> np.ndarray:
    """Returns the rows of an epoch's batches after `step`, int64[n, B]."""
    rows = sampling.training_order(
      self._num_rows, self._size, self._seed, epoch
    )
    start = epoch * self.length
    return rows[step - start : self.num_steps - start]

  def ends_with(self, step: int) -> bool:
    """Returns whether an epoch, or the run, ends with a step."""
    return step % self.length == 0 or step == self.num_steps

  def real_rows(self, step: int) -> int:
    """Returns how many rows of the batch that made `step` are no filler."""
    if step % self.length:
      return self._size
    return self._num_rows % self._size or self._size

  def num_examples(self, step: int) -> int:
    """Returns how many rows the first `step` updates see."""
    epochs, rest = divmod(step, self.length)
    return epochs * self._num_rows + rest * self._size


def shuffled_rows(
  source: BatchSource, split: "Split", seed: int, shuffle: Shuffle
) -> np.ndarray:
  """Returns int64[n], the row whose pictures each row gets (Table 1)."""
  names = pictures(split)
  by_image, by_count = shuffle.unit == "image", shuffle.keep == "count"
  return sampling.visual_shuffle(
    len(split),
    seed,
    images=names if by_image else None,
    counts=source.num_seen(split) if by_count else None,
    own=names,
  )


def pictures(split: "Split") -> list[str]:
  """Returns the name of each row's picture."""
  return [split.describe(row).img_id for row in range(len(split))]


def train_rows(
  source: BatchSource, split: "Split", data: DataConfig
) -> np.ndarray | None:
  """Returns int64[n], whose pictures training rows get; None: their own."""
  if data.visual_shuffle_seed is None:
    return None
  seed, shuffle = data.visual_shuffle_seed, data.visual_shuffle
  return shuffled_rows(source, split, seed, shuffle)
