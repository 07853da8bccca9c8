"""One evaluation step: a pure function.

In its own file, since predictions need no optimizer: importing Optax takes as
long as loading a small model.
"""

import dataclasses
from typing import Any

import jax
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.layers import scan


@dataclasses.dataclass(frozen=True)
class EvalStep:
  """Relation probabilities of a batch."""

  model: nn.Module

  def __call__(self, params: Any, batch: Batch) -> jax.Array:
    """Returns float32[B, C], each row summing to 1."""
    with scan.blank_draws():
      output: Any = self.model.apply({"params": scan.gather(params)}, batch)
    return jax.nn.softmax(output.logits)
