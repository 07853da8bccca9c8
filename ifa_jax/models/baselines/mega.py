"""MEGA and its ablations: BERT+SG, BERT+SG+Att. and MEGA of the paper's tables.

Zheng et al. 2021, "Multimodal Relation Extraction with Efficient Graph
Alignment" (ACM MM): the states of both entities, concatenated with the objects
of a scene graph. Two switches give the three systems:

    structural  semantic
    no          no        BERT+SG, objects are summed as they are
    no          yes       BERT+SG+Att., objects attend to the text
    yes         yes       MEGA, objects also read the words whose place in the
                          dependency graph is like theirs in the scene graph
"""

import dataclasses

import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.files.dataclass_dict import check_choice
from ifa_jax.models.base import DISTANCES, RegionConfig
from ifa_jax.models.baselines.graph_fusion import FusionRules, GraphFusion
from ifa_jax.models.config import TextSystem
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.relation_head import RelationHead

VARIANTS = ("paper", "released")

_RELEASED = FusionRules(
  lifted=True,
  squashed=True,
  joined=True,
  mask_padding=False,
  mask_objects=False,
)


@dataclasses.dataclass(frozen=True)
class MEGAConfig(TextSystem):
  """MEGA's sizes and switches; the defaults are the paper's.

  Attributes:
    regions: the scene graph's objects.
    structural: objects read the text by the structural alignment.
    semantic: objects read the text by attention.
    variant: "paper" (the equations) or "released" (the published code without
      its bugs). The release gives padding weight, so its logits depend on the
      padded length, and it counts absent objects.
    top_k: number of objects that the structural alignment keeps for each word,
      best first; 0 keeps all. Applied when batches are made.
    distance: "l2" (the published code) or "sql2" (the paper), of the
      structural alignment; see `data.scenes.graph_similarity.similarity`.
  """

  regions: RegionConfig = dataclasses.field(default_factory=RegionConfig)
  structural: bool = True
  semantic: bool = True
  variant: str = "paper"
  top_k: int = 1
  distance: str = "l2"

  system = "mega"

  def __post_init__(self):
    """Raises ValueError for settings that no model can have, naming them."""
    super().__post_init__()
    check_choice("model.variant", self.variant, VARIANTS)
    check_choice("model.distance", self.distance, DISTANCES)
    if not 0 <= self.top_k <= self.regions.num_regions:
      raise ValueError(
        f"model.top_k: expected 0 (all) to model.regions.num_regions"
        f" {self.regions.num_regions}, got {self.top_k}"
      )
    if self.variant == "released" and not self.weight_names:
      raise ValueError(
        "model.variant: expected paper for a model without any alignment, got"
        " released, which has no such form"
      )

  @property
  def reads_alignment(self) -> bool:
    """Whether the structural alignment is read."""
    return self.structural

  @property
  def sees_padding(self) -> bool:
    """Whether attention gives padding weight."""
    return self.semantic and not self.rules.mask_padding

  @property
  def weight_names(self) -> tuple[str, ...]:
    """Names of the maps of `ModelOutput.region_weights`, in their order."""
    kinds = {"structural": self.structural, "semantic": self.semantic}
    return tuple(name for name, present in kinds.items() if present)

  @property
  def rules(self) -> FusionRules:
    """The form of the fusion."""
    if self.variant == "released":
      return _RELEASED
    # Ablations without the structural alignment keep the entities' own states,
    # as text baselines do, so their objects are lifted in either variant.
    return FusionRules(lifted=not self.structural)


class MEGA(nn.Module):
  """Maps a `Batch` to relation logits; reads regions, no pixels."""

  config: MEGAConfig

  def setup(self):
    """Declares `text`, `fusion` and `relation_head`."""
    config = self.config
    dtype, width = jnp.dtype(config.dtype), 2 * config.text.hidden_dim
    self.text = TextStream(config.text, dtype)
    self.fusion = GraphFusion(
      width, config.structural, config.semantic, config.rules, dtype
    )
    self.relation_head = RelationHead(
      config.num_relations, width, config.head_dropout_rate, dtype
    )

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; `train` drops out, `capture` keeps hidden states."""
    read = self.text(batch, train=train)
    pair, weights = self.fusion(read.hidden[-1], batch)
    logits = self.relation_head(pair, train=train)
    # The structural alignment is an input, but captured for the same drawing.
    captured = read.captured() | {"region_weights": weights}
    return ModelOutput(logits, **captured if capture else {})
