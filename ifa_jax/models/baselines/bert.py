"""BERT only: the rows BERT and MTB of the paper's Table 2, and `caption`.

`pooling="cls"` is OpenNRE's `BERTEncoder` (the pooled [CLS] state, although the
text has its entities marked); `pooling="entity_start"` its `BERTEntityEncoder`,
which Soares et al. 2019 (arXiv:1906.03158) call entity start and MNRE's authors
MTB. "Matching the Blanks" weights were never published: both start from BERT.
`caption` is MTB with the picture's caption as the second segment of the text.
"""

import dataclasses

import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.files.dataclass_dict import check_choice
from ifa_jax.models.config import TextSystem
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.models.layers import transformer
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.relation_head import RelationHead, marker_positions

POOLINGS = ("cls", "entity_start")


@dataclasses.dataclass(frozen=True)
class BertConfig(TextSystem):
  """BERT with a relation head.

  Attributes:
    pooling: "cls" or "entity_start".
    caption: whether the picture's caption follows the text.
  """

  pooling: str = "entity_start"
  caption: bool = False

  system = "bert"

  def __post_init__(self):
    """Raises ValueError for settings that no model can have, naming them."""
    super().__post_init__()
    check_choice("model.pooling", self.pooling, POOLINGS)

  @property
  def reads_caption(self) -> str | None:
    """As the second segment of the text."""
    return "segment" if self.caption else None

  @property
  def scans_layers(self) -> bool:
    """Always."""
    return True

  @property
  def packs_texts(self) -> bool:
    """Always."""
    return True


class Bert(nn.Module):
  """Maps a `Batch` to relation logits; reads text only.

  Attributes:
    config: shape of the model.
    remat: see `layers.scan.scan_layers`; applies to stacked layers.
  """

  config: BertConfig
  remat: bool = False

  def setup(self):
    """Declares `text`, `pooler` (for "cls") and `relation_head`."""
    config = self.config
    dtype, width = jnp.dtype(config.dtype), config.text.hidden_dim
    self.text = TextStream(config.text, dtype, self.remat)
    self.by_cls = config.pooling == "cls"
    if self.by_cls:
      self.pooler = transformer.Linear(width, dtype)
    self.relation_head = RelationHead(
      config.num_relations,
      None if self.by_cls else 2 * width,
      config.head_dropout_rate,
      dtype,
    )

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; `train` drops out, `capture` keeps hidden states."""
    positions = marker_positions(batch)
    if self.by_cls:
      positions = jnp.zeros((len(batch.input_ids), 1), jnp.int32)
    states, captured = self.text.read(
      batch, positions, train=train, capture=capture
    )
    # float[B, R, D], R = 1 or 2, side by side.
    pooled = states.reshape(len(states), -1)
    if self.by_cls:
      # BertModel's pooler: dropout follows it, in the head.
      pooled = jnp.tanh(self.pooler(pooled))
    return ModelOutput(self.relation_head(pooled, train=train), **captured)
