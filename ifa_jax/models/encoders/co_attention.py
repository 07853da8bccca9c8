"""Co-attention: two streams of any widths that each attend to the other.

The connection layers of ViLBERT (Lu et al. 2019, arXiv:1908.02265, figure 2b).
A stream's queries meet only the other stream's keys and values, not its own.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.files.dataclass_dict import Count, Rate
from ifa_jax.models.config import TextConfig
from ifa_jax.models.encoders.regions import RegionStreamConfig
from ifa_jax.models.encoders.text_layer import TextLayer


@dataclasses.dataclass(frozen=True)
class CoAttentionConfig:
  """Shape of the connection layers.

  Attributes:
    hidden_dim: width of queries, keys and values of both streams.
    num_layers: number of connections. They precede the last layers of the text
      stream and the first of the regions'.
  """

  hidden_dim: Count = 1024
  num_layers: Count = 6
  num_heads: Count = 8
  attention_dropout_rate: Rate = 0.1


class CoAttention(nn.Module):
  """A connection layer; both streams read each other's input."""

  text_stream: TextConfig
  visual_stream: RegionStreamConfig
  connection: CoAttentionConfig
  dtype: jnp.dtype

  def setup(self):
    """Declares `text` and `visual`."""
    self.text = TextLayer(self.text_stream, self.dtype, self.connection)
    self.visual = TextLayer(self.visual_stream, self.dtype, self.connection)

  def __call__(
    self,
    text: jax.Array,
    visual: jax.Array,
    text_bias: jax.Array,
    visual_bias: jax.Array,
    *,
    train: bool,
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Lets float[B, T, D] and float[B, P, D'] attend to each other.

    Args:
      text: of the text stream's width D.
      visual: of the regions' width D'.
      text_bias: float32[B, T], added to the logits of text keys.
      visual_bias: float32[B, P], added to the logits of visual keys.
      train: whether to apply dropout.

    Returns:
      Both streams' new states, and float32[B, T, P], the attention of text to
      visual keys, mean over heads.
    """
    text_query, text_keys = self.text.project(text)
    visual_query, visual_keys = self.visual.project(visual)
    # The other stream's keys are passed as the layer's own, and nothing is
    # lent: this is attention over one set of keys.
    to_visual = self.text.attend(
      text_query, visual_keys, None, visual_bias, train=train
    )
    to_text = self.visual.attend(
      visual_query, text_keys, None, text_bias, train=train
    )
    return (
      self.text.update(text, to_visual.values, train=train),
      self.visual.update(visual, to_text.values, train=train),
      to_visual.weights,
    )
