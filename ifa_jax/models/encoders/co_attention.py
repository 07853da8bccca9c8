"""Co-attention: two streams of any widths that each attend to the other.

The connection layers of ViLBERT (Lu et al. 2019, arXiv:1908.02265, figure 2b):
here a stream's queries meet the other's keys and values and never its own.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.models.config import TextConfig
from ifa_jax.models.encoders.regions import RegionStreamConfig
from ifa_jax.models.encoders.text_layer import TextLayer
from ifa_jax.models.layers import transformer
from ifa_jax.models.layers.transformer import Attended, Dropout, KeyValue


@dataclasses.dataclass(frozen=True)
class CoAttentionConfig:
  """Shape of the connection layers.

  Attributes:
    hidden_dim: width of queries, keys and values of both streams.
    num_layers: of the text stream's layers, so many of the last have one in
      front of them, and of the regions' so many of the first.
  """

  hidden_dim: int = 1024
  num_layers: int = 6
  num_heads: int = 8
  attention_dropout_rate: float = 0.1


class Connected(NamedTuple):
  """What a connection makes of two streams.

  Attributes:
    text: float[B, T, D].
    visual: float[B, P, D], of that stream's own width.
    weights: float32[B, T, P], text's attention to visual keys, head mean.
  """

  text: jax.Array
  visual: jax.Array
  weights: jax.Array


class CrossProjections(transformer.Projections):
  """Projections into a connection's width, `dim`, and back into a stream's."""

  stream_dim: int

  def setup(self):
    """Declares the layers under the names of `transformer.Projections`."""
    self.query = transformer.Linear(self.dim, self.dtype)
    self.key = transformer.Linear(self.dim, self.dtype)
    self.value = transformer.Linear(self.dim, self.dtype)
    self.out = transformer.Linear(self.stream_dim, self.dtype)


class CrossLayer(TextLayer):
  """One stream's half of a connection: BERT's layer, its keys the other's."""

  config: TextConfig | RegionStreamConfig
  connection: CoAttentionConfig

  def setup(self):
    """Declares the layers under the names of `TextLayer`."""
    config, connection = self.config, self.connection
    self.attention = CrossProjections(
      connection.hidden_dim, self.dtype, config.hidden_dim
    )
    self.attention_norm = transformer.layer_norm(
      config.norm_epsilon, self.dtype
    )
    self.mlp_in = transformer.Linear(config.mlp_dim, self.dtype)
    self.mlp_out = transformer.Linear(config.hidden_dim, self.dtype)
    self.mlp_norm = transformer.layer_norm(config.norm_epsilon, self.dtype)
    self.dropout = Dropout(config.dropout_rate)
    self.attention_dropout = Dropout(connection.attention_dropout_rate)

  def cross_attend(
    self, query: jax.Array, other: KeyValue, key_bias: jax.Array, *, train: bool
  ) -> Attended:
    """See `transformer.attend`; all keys and values are the other stream's."""
    return transformer.attend(
      query,
      other,
      None,
      key_bias,
      self.connection.num_heads,
      lambda weights: self.attention_dropout(weights, deterministic=not train),
    )


class CoAttention(nn.Module):
  """A connection layer: both streams at once, from the same inputs."""

  text_stream: TextConfig
  visual_stream: RegionStreamConfig
  connection: CoAttentionConfig
  dtype: jnp.dtype

  def setup(self):
    """Declares `text` and `visual`."""
    self.text = CrossLayer(self.text_stream, self.dtype, self.connection)
    self.visual = CrossLayer(self.visual_stream, self.dtype, self.connection)

  def __call__(
    self,
    text: jax.Array,
    visual: jax.Array,
    text_bias: jax.Array,
    visual_bias: jax.Array,
    *,
    train: bool,
  ) -> Connected:
    """Lets float[B, T, D] and float[B, P, D] attend to each other.

    Args:
      text: of the text stream's width.
      visual: of the regions' width.
      text_bias: float32[B, T], added to the logits of text keys.
      visual_bias: float32[B, P], added to the logits of visual keys.
      train: whether to drop out.
    """
    text_query, from_text = self.text.project(text)
    visual_query, from_visual = self.visual.project(visual)
    read_text = self.text.cross_attend(
      text_query, from_visual, visual_bias, train=train
    )
    read_visual = self.visual.cross_attend(
      visual_query, from_text, text_bias, train=train
    )
    return Connected(
      self.text.update(text, read_text.values, train=train),
      self.visual.update(visual, read_visual.values, train=train),
      read_text.weights,
    )
