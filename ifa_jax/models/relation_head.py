"""Entity states, and the relation head of the baselines."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.encoders.text_layer import read_rows
from ifa_jax.models.layers import transformer
from ifa_jax.models.layers.transformer import Dropout


def marker_positions(batch: Batch) -> jax.Array:
  """Returns the positions of both opening markers, int32[B, 2], head first."""
  return jnp.stack([batch.head_start, batch.tail_start], axis=1)


def entity_starts(hidden: jax.Array, batch: Batch) -> jax.Array:
  """Reads float[B, T, D] at both opening markers: float[B, 2D], head first."""
  return read_rows(hidden, marker_positions(batch)).reshape(len(hidden), -1)


class RelationHead(nn.Module):
  """Maps a pair's vector to logits, through a linear layer if `hidden_dim`.

  OpenNRE's `BERTEntityEncoder` and `SoftmaxNN`: no activation between the two,
  dropout before the last.

  Attributes:
    num_relations: C.
    hidden_dim: width of the layer before the logits; None omits it.
    dropout_rate: of the last layer's input.
    dtype: of the hidden layer; logits are float32.
    relu: whether a ReLU follows the hidden layer, as in vilbert_beta.
  """

  num_relations: int
  hidden_dim: int | None = None
  dropout_rate: float = 0.5
  dtype: jnp.dtype = jnp.float32
  relu: bool = False

  def setup(self):
    """Declares `hidden` (if it has a width) and `out`."""
    if self.hidden_dim:
      self.hidden = transformer.Linear(self.hidden_dim, self.dtype)
    self.out = transformer.Linear(self.num_relations, jnp.float32)
    self.dropout = Dropout(self.dropout_rate)

  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps float[B, D] to float32[B, C]."""
    if self.hidden_dim:
      x = self.hidden(x)
    if self.relu:
      x = nn.relu(x)
    x = self.dropout(x, deterministic=not train)
    # The loss is computed in float32, and bfloat16 logits would tie.
    return self.out(x.astype(jnp.float32))
