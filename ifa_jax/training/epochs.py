"""Steps and epochs of a run: its rows in order, and visual shuffles of rows."""

from typing import TYPE_CHECKING

import numpy as np

from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.sampling import Shuffle
from ifa_jax.training.batch_source import BatchSource
from ifa_jax.training.config.run_config import RunConfig

if TYPE_CHECKING:
  from ifa_jax.data.pipeline.dataset import Split


class Epochs:
  """The steps and epochs of training.

  A step's number is the number of updates after it, from 1; epochs count from
  0.

  Attributes:
    length: updates in an epoch; the last batch may be partly filler.
    num_steps: updates in the whole run, at most `train.max_steps`.
    schedule_steps: updates until the learning rate is 0. With
      `optim.whole_batches` an epoch's last batch counts only if it is full.
  """

  def __init__(self, config: RunConfig, num_rows: int):
    """Counts the updates; `num_rows` is that of the training split."""
    self._seed, self._train = config.seed, config.train
    self._size, self._num_rows = config.train.batch_size, num_rows
    self.length = sampling.num_batches(num_rows, self._size)
    self.num_steps = self._capped(self.length)
    whole = max(1, num_rows // self._size)
    self.schedule_steps = self._capped(
      whole if config.optim.whole_batches else self.length
    )

  def _capped(self, steps_per_epoch: int) -> int:
    steps = self._train.total_epochs * steps_per_epoch
    return min(steps, self._train.max_steps or steps)

  def rows_left(self, step: int, epoch: int) -> np.ndarray:
    """Returns the rows of an epoch's batches after `step`, int64[n, B]."""
    # A function of (seed, epoch): a resumed run continues the same order.
    rows = sampling.training_order(
      self._num_rows, self._size, self._seed, epoch
    )
    start = epoch * self.length
    return rows[step - start : self.num_steps - start]

  def ends_with(self, step: int) -> bool:
    """Returns whether an epoch, or the run, ends with a step."""
    return step % self.length == 0 or step == self.num_steps

  def real_rows(self, step: int) -> int:
    """Returns the number of rows of a step's batch, without filler."""
    # Only the last batch of an epoch has filler.
    if step % self.length:
      return self._size
    return self._num_rows % self._size or self._size

  def num_examples(self, step: int) -> int:
    """Returns the number of rows of the first `step` updates."""
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
    # Rows may share a picture; as few as possible keep theirs.
    own=names,
  )


def pictures(split: "Split") -> list[str]:
  """Returns the name of each row's picture."""
  return [split.describe(row).img_id for row in range(len(split))]
