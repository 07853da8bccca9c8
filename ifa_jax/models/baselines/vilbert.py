"""ViLBERT: a text and a visual stream that attend to each other at six places.

Lu et al. 2019 (arXiv:1908.02265). Text layers 0 to 5 come first, then a
connection before each of the regions' layers and of the last text layers:

    T0 ... T5, C0, (V0, T6), C1, (V1, T7), ..., C5, (V5, T11)

`pooling="entity_start"` reads the text stream at both entities, as MTB does;
`pooling="native_mul"` is the classifier of its authors' vilbert_beta, on the
product of [CLS] and the whole picture.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.files.dataclass_dict import check_choice
from ifa_jax.models.base import DTYPES, RegionConfig, System
from ifa_jax.models.config import PADDING_BIAS, TextConfig, check_heads
from ifa_jax.models.encoders.co_attention import CoAttention, CoAttentionConfig
from ifa_jax.models.encoders.regions import RegionStream, RegionStreamConfig
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.models.layers import transformer
from ifa_jax.models.layers.transformer import Dropout
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.relation_head import RelationHead, entity_starts

POOLINGS = ("entity_start", "native_mul")


@dataclasses.dataclass(frozen=True)
class ViLBERTConfig(System):
  """ViLBERT's sizes; the defaults are those of its six-layer release.

  Attributes:
    text: the text stream.
    vision: the stream of regions.
    connection: the layers between the two.
    regions: what the stream of regions reads.
    pooling: "entity_start" or "native_mul".
    num_relations: C, the label "None" included.
    head_dropout_rate: of the last layer's input.
    dtype: of the computation, "float32" or "bfloat16".
  """

  text: TextConfig = dataclasses.field(default_factory=TextConfig)
  vision: RegionStreamConfig = dataclasses.field(
    default_factory=RegionStreamConfig
  )
  connection: CoAttentionConfig = dataclasses.field(
    default_factory=CoAttentionConfig
  )
  regions: RegionConfig = dataclasses.field(
    default_factory=lambda: RegionConfig(num_regions=36)
  )
  pooling: str = "entity_start"
  num_relations: int = 23
  head_dropout_rate: float = 0.5
  dtype: str = "float32"

  system = "vilbert"

  def __post_init__(self):
    """Raises ValueError for settings that no model can have, naming them."""
    check_choice("model.pooling", self.pooling, POOLINGS)
    check_choice("model.dtype", self.dtype, DTYPES)
    for name in ("text", "vision", "connection"):
      check_heads(name, getattr(self, name))
    most = min(self.text.num_layers, self.vision.num_layers)
    if not 1 <= self.connection.num_layers <= most:
      raise ValueError(
        "model.connection.num_layers: want 1 up to the layers of either stream,"
        f" {most}, found {self.connection.num_layers}"
      )

  @property
  def weight_names(self) -> tuple[str, ...]:
    """The connections, each with a map of `ModelOutput.region_weights`."""
    return tuple(map(str, range(self.connection.num_layers)))


class Encoded(NamedTuple):
  """What both streams make of a batch.

  Attributes:
    text: float[B, T, D] each: the embeddings, then every text layer and
      connection in the order of the computation.
    visual: float[B, P, D] each, likewise; token 0 is the whole picture.
    weights: float32[B, T, P] each, one a connection.
    mask: bool[B, P], True = the picture, or a region that is there.
  """

  text: list[jax.Array]
  visual: list[jax.Array]
  weights: list[jax.Array]
  mask: jax.Array

  def captured(self) -> dict[str, jax.Array]:
    """Returns the fields of `ModelOutput` that these are."""
    return {
      "text_hidden": jnp.stack(self.text),
      "visual_hidden": jnp.stack(self.visual),
      "visual_mask": self.mask,
      # The rest of each token's share is the whole picture's.
      "region_weights": jnp.stack(self.weights)[..., 1:],
    }


class MLPHead(RelationHead):
  """A relation head with a ReLU behind its hidden layer, as vilbert_beta's.

  The released one normalises its weights, which are the same two matrices
  under another parametrisation.
  """

  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps float[B, D] to float32[B, C]."""
    x = self.dropout(nn.relu(self.hidden(x)), deterministic=not train)
    return self.out(x.astype(jnp.float32))


class ViLBERT(nn.Module):
  """Maps a `Batch` to relation logits.

  By entity starts, what the regions make of the last connection reaches
  nothing. It is computed here all the same, for `capture` and so that every
  parameter exists; compiled code drops it.
  """

  config: ViLBERTConfig

  def setup(self):
    """Declares streams, `connection_0` ..., `relation_head` and poolers."""
    config = self.config
    dtype = jnp.dtype(config.dtype)
    self.text = TextStream(config.text, dtype)
    self.visual = RegionStream(config.vision, config.regions, dtype)
    self.connection = [
      CoAttention(config.text, config.vision, config.connection, dtype)
      for _ in range(config.connection.num_layers)
    ]
    head, width = RelationHead, 2 * config.text.hidden_dim
    if config.pooling == "native_mul":
      head, width = MLPHead, 2 * config.connection.hidden_dim
      self.text_pooler = transformer.Linear(config.connection.hidden_dim, dtype)
      self.visual_pooler = transformer.Linear(
        config.connection.hidden_dim, dtype
      )
      # The text stream's rate, 0.1 in vilbert_beta too.
      self.dropout = Dropout(config.text.dropout_rate)
    self.relation_head = head(
      config.num_relations, width, config.head_dropout_rate, dtype
    )

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; `train` drops out, `capture` keeps what lies between."""
    encoded = self._encode(batch, train)
    pooled = self._pool(encoded, batch, train)
    logits = self.relation_head(pooled, train=train)
    return ModelOutput(logits, **encoded.captured() if capture else {})

  def _encode(self, batch: Batch, train: bool) -> Encoded:
    config, connections = self.config, len(self.connection)
    tokens = self.visual.embed(batch, train=train)
    embedded = self.text.embed(batch, train=train)
    text_bias = transformer.mask_bias(batch.attention_mask, PADDING_BIAS)
    visual_bias = transformer.mask_bias(tokens.mask, PADDING_BIAS)
    alone = config.text.num_layers - connections
    text = self.text.run(embedded, text_bias, 0, alone, train=train).hidden
    visual, weights = [tokens.hidden], []
    for k, connect in enumerate(self.connection):
      read = connect(text[-1], visual[-1], text_bias, visual_bias, train=train)
      # Of the regions' layers, all that are left follow the last connection.
      stop = k + 1 if k + 1 < connections else config.vision.num_layers
      text += self.text.run(
        read.text, text_bias, alone + k, alone + k + 1, train=train
      ).hidden
      visual += [
        read.visual,
        *self.visual.run(read.visual, visual_bias, k, stop, train=train),
      ]
      weights.append(read.weights)
    return Encoded(text, visual, weights, tokens.mask)

  def _pool(self, encoded: Encoded, batch: Batch, train: bool) -> jax.Array:
    text, visual = encoded.text[-1], encoded.visual[-1]
    if self.config.pooling == "entity_start":
      return entity_starts(text, batch)
    product = nn.relu(self.text_pooler(text[:, 0])) * nn.relu(
      self.visual_pooler(visual[:, 0])
    )
    return self.dropout(product, deterministic=not train)
