"""The state of a training run, as checkpoints hold it."""

from typing import TYPE_CHECKING, Any

import jax
from flax import struct

if TYPE_CHECKING:
  import optax


class TrainState(struct.PyTreeNode):
  """Everything that a checkpoint needs to resume; no functions."""

  # int32[], number of updates so far.
  step: jax.Array
  # float32 nested dicts
  params: Any
  # Of `training.optimizer`.
  opt_state: "optax.OptState"
