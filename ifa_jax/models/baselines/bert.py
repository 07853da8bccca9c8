"""BERT alone: the rows BERT and MTB of the paper's Table 2.

`pooling="cls"` is OpenNRE's `BERTEncoder` (the pooled [CLS] state, although the
text has its entities marked); `pooling="entity_start"` its `BERTEntityEncoder`,
which Soares et al. 2019 (arXiv:1906.03158) call entity start and MNRE's authors
MTB. "Matching the Blanks" weights were never published: both start from BERT.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.files.dataclass_dict import check_choice
from ifa_jax.models.base import DTYPES, System
from ifa_jax.models.config import TextConfig, check_heads
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.models.encoders.text_layer import read_rows
from ifa_jax.models.layers import transformer
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.relation_head import RelationHead, marker_positions

POOLINGS = ("cls", "entity_start")


@dataclasses.dataclass(frozen=True)
class BertConfig(System):
  """BERT with a relation head.

  Attributes:
    text: the encoder.
    pooling: "cls" or "entity_start".
    num_relations: C, the label "None" included.
    head_dropout_rate: of the last layer's input.
    dtype: of the computation, "float32" or "bfloat16".
  """

  text: TextConfig = dataclasses.field(default_factory=TextConfig)
  pooling: str = "entity_start"
  num_relations: int = 23
  head_dropout_rate: float = 0.5
  dtype: str = "float32"

  system = "bert"

  def __post_init__(self):
    """Raises ValueError for settings that no model can have, naming them."""
    check_choice("model.pooling", self.pooling, POOLINGS)
    check_choice("model.dtype", self.dtype, DTYPES)
    check_heads("text", self.text)

  @property
  def scans_layers(self) -> bool:
    """Always."""
    return True

  @property
  def packs_texts(self) -> bool:
    """Always."""
    return True


class Bert(nn.Module):
  """Maps a `Batch` to relation logits; reads no picture.

  Attributes:
    config: shape of the model.
    remat: see `layers.scan.scan_layers`; of layers that are stacked.
  """

  config: BertConfig
  remat: bool = False

  def setup(self):
    """Declares `text`, `pooler` (for "cls") and `relation_head`."""
    config = self.config
    dtype = jnp.dtype(config.dtype)
    width = config.text.hidden_dim
    self.text = TextStream(config.text, dtype, self.remat)
    by_cls = config.pooling == "cls"
    if by_cls:
      self.pooler = transformer.Linear(width, dtype)
    self.relation_head = RelationHead(
      config.num_relations,
      None if by_cls else 2 * width,
      config.head_dropout_rate,
      dtype,
    )

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; `train` drops out, `capture` keeps what lies between."""
    positions = self._positions(batch)
    if capture:
      read = self.text(batch, train=train)
      pooled = self._pool(read_rows(read.hidden[-1], positions))
    else:
      read = self.text(batch, train=train, positions=positions)
      pooled = self._pool(read.hidden[-1])
    logits = self.relation_head(pooled, train=train)
    return ModelOutput(logits, **read.captured() if capture else {})

  def _positions(self, batch: Batch) -> jax.Array:
    """Returns the tokens whose last states are read, int32[B, 1 or 2]."""
    if self.config.pooling == "cls":
      return jnp.zeros((len(batch.input_ids), 1), jnp.int32)
    return marker_positions(batch)

  def _pool(self, states: jax.Array) -> jax.Array:
    """Maps the states of those tokens to float[B, D] or float[B, 2D]."""
    pooled = states.reshape(len(states), -1)
    by_cls = self.config.pooling == "cls"
    return jnp.tanh(self.pooler(pooled)) if by_cls else pooled
