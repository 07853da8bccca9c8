"""ViLBERT: a text and a visual stream with six co-attention layers.

Lu et al. 2019 (arXiv:1908.02265). Text layers 0 to 5 come first, then a
connection before each of the regions' layers and of the last text layers:

    T0 ... T5, C0, (V0, T6), C1, (V1, T7), ..., C5, (V5, T11)

`pooling="entity_start"` reads the text stream at both entities, as MTB does;
`pooling="native_mul"` is the classifier of the authors' vilbert_beta, on the
product of [CLS] and the whole picture.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.files.dataclass_dict import check_choice
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.config import TextSystem, check_heads, check_stream
from ifa_jax.models.encoders.co_attention import CoAttention, CoAttentionConfig
from ifa_jax.models.encoders.regions import RegionStream, RegionStreamConfig
from ifa_jax.models.encoders.text import TextStream, run_layers
from ifa_jax.models.exchange import PADDING_BIAS
from ifa_jax.models.layers import transformer
from ifa_jax.models.layers.transformer import Dropout
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.relation_head import RelationHead, entity_starts

POOLINGS = ("entity_start", "native_mul")


@dataclasses.dataclass(frozen=True)
class ViLBERTConfig(TextSystem):
  """ViLBERT's sizes; the defaults are those of its six-layer release.

  Attributes:
    vision: the region stream.
    connection: the co-attention layers.
    regions: input of the region stream.
    pooling: "entity_start" or "native_mul".
  """

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

  system = "vilbert"

  def __post_init__(self):
    """Raises ValueError for settings that no model can have, naming them."""
    super().__post_init__()
    check_choice("model.pooling", self.pooling, POOLINGS)
    check_stream("vision", self.vision)
    check_heads("connection", self.connection)
    # Every connection precedes a layer of either stream.
    most = min(self.text.num_layers, self.vision.num_layers)
    if not 1 <= self.connection.num_layers <= most:
      raise ValueError(
        f"model.connection.num_layers: expected 1 to {most}, the layers of the"
        f" shorter stream, got {self.connection.num_layers}"
      )

  @property
  def weight_names(self) -> tuple[str, ...]:
    """The connections; each has a map of `ModelOutput.region_weights`."""
    return tuple(map(str, range(self.connection.num_layers)))


class ViLBERT(nn.Module):
  """Maps a `Batch` to relation logits.

  With `pooling="entity_start"` the last connection's region states are unused.
  They are computed for `capture`, and to create every parameter; compiled code
  drops them.
  """

  config: ViLBERTConfig

  def setup(self):
    """Declares streams, `connection_0` ..., `relation_head` and poolers."""
    config = self.config
    dtype, shared = jnp.dtype(config.dtype), config.connection.hidden_dim
    self.text = TextStream(config.text, dtype)
    self.visual = RegionStream(config.vision, config.regions, dtype)
    self.connection = [
      CoAttention(config.text, config.vision, config.connection, dtype)
      for _ in range(config.connection.num_layers)
    ]
    native = config.pooling == "native_mul"
    if native:
      self.text_pooler = transformer.Linear(shared, dtype)
      self.visual_pooler = transformer.Linear(shared, dtype)
      # vilbert_beta uses the text stream's rate, 0.1, here too.
      self.dropout = Dropout(config.text.dropout_rate)
    # vilbert_beta's classifier has weight normalisation, which only changes the
    # parametrisation of its two matrices, not the functions they can express.
    self.relation_head = RelationHead(
      config.num_relations,
      2 * (shared if native else config.text.hidden_dim),
      config.head_dropout_rate,
      dtype,
      relu=native,
    )

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; `train` applies dropout, `capture` keeps hidden states.

    Captured states of a stream are its embeddings, and then the outputs of its
    layers and connections in the order of the computation.
    """
    tokens = self.visual.embed(batch, train=train)
    text, visual, weights = self._run(
      self.text.embed(batch, train=train),
      tokens.hidden,
      transformer.mask_bias(batch.attention_mask, PADDING_BIAS),
      transformer.mask_bias(tokens.mask, PADDING_BIAS),
      train,
    )
    pooled = self._pool(text[-1], visual[-1], batch, train)
    logits = self.relation_head(pooled, train=train)
    if not capture:
      return ModelOutput(logits)
    return ModelOutput(
      logits,
      text_hidden=jnp.stack(text),
      visual_hidden=jnp.stack(visual),
      visual_mask=tokens.mask,
      # Key 0 is the whole picture, so a token's weights sum to less than 1.
      region_weights=jnp.stack(weights)[..., 1:],
    )

  def _run(self, text, visual, text_bias, visual_bias, train: bool):
    """Returns states of text and regions, and float32[B, T, P] of each C_k."""
    run = functools.partial(run_layers, train=train)
    count = len(self.connection)
    first = self.config.text.num_layers - count
    texts = run(self.text.layer[:first], text, text_bias).hidden
    visuals, weights = [visual], []
    for k, connect in enumerate(self.connection):
      text, visual, attention = connect(
        texts[-1], visuals[-1], text_bias, visual_bias, train=train
      )
      text_layers = self.text.layer[first + k : first + k + 1]
      # A region stream with more layers than connections runs the rest last.
      stop = k + 1 if k + 1 < count else None
      # The states include the layers' input, which is the connection's output.
      texts += run(text_layers, text, text_bias).hidden
      visuals += run(self.visual.layer[k:stop], visual, visual_bias).hidden
      weights.append(attention)
    return texts, visuals, weights

  def _pool(
    self, text: jax.Array, visual: jax.Array, batch: Batch, train: bool
  ) -> jax.Array:
    if self.config.pooling == "entity_start":
      return entity_starts(text, batch)
    pooled_text = nn.relu(self.text_pooler(text[:, 0]))
    pooled_visual = nn.relu(self.visual_pooler(visual[:, 0]))
    product = pooled_text * pooled_visual
    return self.dropout(product, deterministic=not train)
