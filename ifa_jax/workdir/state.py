"""The state of a training run, as checkpoints hold it."""

from typing import TYPE_CHECKING, Any

import jax
from flax import struct

if TYPE_CHECKING:
  import optax


class TrainState(struct.PyTreeNode):
  """All that a checkpoint must hold to resume; no functions.

  Attributes:
    step: int32[], updates made.
    params: float32 nested dicts.
    opt_state: of `training.optimizer`.
  """

  step: jax.Array
  params: Any
  opt_state: "optax.OptState"
