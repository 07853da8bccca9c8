"""A state on its way to a checkpoint."""

import dataclasses

import jax

from ifa_jax.training.metric_writer import read_metric
from ifa_jax.workdir.checkpoints import Scores, Window
from ifa_jax.workdir.state import TrainState


@dataclasses.dataclass
class Unsaved:
  """A state that is saved once it is known to be good.

  One with dev scores is: it gave finite probabilities. For another the update
  that follows tells.

  Attributes:
    state: as `Parallel.snapshot` gives it.
    scores: on dev, where it was evaluated.
    window: metrics of the steps of a window that it is within.
    following: metrics of the update that follows, once that was begun.
  """

  state: TrainState
  scores: Scores | None = None
  window: Window | None = None
  following: dict[str, jax.Array] | None = None

  @property
  def is_due(self) -> bool:
    """Whether it can be told."""
    return self.scores is not None or self.following is not None

  def is_good(self) -> bool:
    """Tells whether it gives finite numbers, waiting for what shows it."""
    if self.scores is not None or self.following is None:
      return self.scores is not None
    return bool(read_metric(self.following["finite"]))
