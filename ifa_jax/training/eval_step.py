"""One evaluation step: a pure function.

Apart from `steps`: a prediction needs no optimizer, and Optax takes as long
to import as a small model takes to load.
"""

import dataclasses
from typing import Any

import jax
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.layers import scan


@dataclasses.dataclass(frozen=True)
class EvalStep:
  """Relation probabilities of a batch, row by row."""

  model: nn.Module

  def __call__(self, params: Any, batch: Batch) -> jax.Array:
    """Returns float32[B, C], each row summing to 1."""
    with scan.blank_draws():
      output: Any = self.model.apply({"params": params}, batch)
    return jax.nn.softmax(output.logits)
