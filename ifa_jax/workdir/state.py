"""The state of a training run, as checkpoints hold it."""

from typing import TYPE_CHECKING, Any

import jax
from flax import struct

if TYPE_CHECKING:
  import optax


class TrainState(struct.PyTreeNode):
  """Everything that a checkpoint needs to resume; no functions."""

  step: jax.Array  # int32[], number of updates so far.
  params: Any  # float32 nested dicts
  opt_state: "optax.OptState"  # Of `training.optimizer`.
