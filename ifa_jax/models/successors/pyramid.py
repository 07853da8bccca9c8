"""Settings of HVPNeT, and the prefixes that it makes of a visual pyramid.

See `successors.hvpnet` for the equations.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.files.dataclass_dict import Count, check_choice
from ifa_jax.models.base import Presets, RegionConfig
from ifa_jax.models.config import TextSystem
from ifa_jax.models.exchange import PADDING_BIAS
from ifa_jax.models.layers import transformer
from ifa_jax.models.layers.transformer import KeyValue

# Places of a stage's 2 x 2 map, which are the tokens of a region.
NUM_PLACES = 4
_LEAK = 0.01
POOLINGS = ("entity_start", "cls")


@dataclasses.dataclass(frozen=True)
class PrefixRules:
  """Departures of the released code from the equations, one field each.

  The defaults follow the equations as later work describes them, since the
  paper prints them as pictures; lines are of models/bert_model.py in
  zjunlp/HVPNeT@410bd0c.

  Attributes:
    tokens_are_places: a token is a place of the map with all its channels.
      Released (124, 127): a bare view makes it a block of channels.
    levels_by_stage: level i is a projection of stage i. Released (67-71,
      129-132): the levels are slices of one projection of all channels.
    pooled_gate: the gate reads the mean over tokens. Released (134): all of
      them, side by side.
    projected: each layer projects its prefix to keys and values. Released
      (155-157): they are the halves of a level.
    heads_split: keys and values are cut into heads along their features.
      Released (155-157): a bare view, which mixes tokens and heads.
    absent_masked: absent regions are not attended to. Released: they are, as
      the features of a blank picture.
    padding_bias: added to the attention logits of padding. Released: -10000.
    head_dropout: the relation head's input is dropped out in training.
      Released (58): declared and never applied.
  """

  tokens_are_places: bool = True
  levels_by_stage: bool = True
  pooled_gate: bool = True
  projected: bool = True
  heads_split: bool = True
  absent_masked: bool = True
  padding_bias: float = PADDING_BIAS
  head_dropout: bool = True

  def __post_init__(self):
    """Raises ValueError for rules that contradict each other."""
    if self.absent_masked and not self.heads_split:
      raise ValueError(
        "model.prefix_rules.absent_masked: expected False with"
        " heads_split=False, whose keys mix tokens, got True"
      )
    if self.levels_by_stage and not self.tokens_are_places:
      raise ValueError(
        "model.prefix_rules.levels_by_stage: expected False with"
        " tokens_are_places=False, whose tokens mix stages, got True"
      )


VARIANTS = {
  "equations": PrefixRules(),
  "released": PrefixRules(
    tokens_are_places=False,
    levels_by_stage=False,
    pooled_gate=False,
    projected=False,
    heads_split=False,
    absent_masked=False,
    padding_bias=-10000.0,
    head_dropout=False,
  ),
}


@dataclasses.dataclass(frozen=True)
class HVPNeTConfig(TextSystem):
  """HVPNeT's sizes and switches; the sizes are those of ResNet-50.

  Attributes:
    regions: the picture and its objects.
    stage_dims: channels of the four stages; a region has four times their sum.
    projection_dim: width between the two layers of a projection of all
      channels (released, hard-coded).
    variant: "equations" or "released", a preset of `PrefixRules`.
    prefix_rules: departures from the preset; None is the preset itself.
    pooling: states that are classified: "entity_start", as in the code, or
      "cls", as in the paper.
  """

  regions: RegionConfig = dataclasses.field(
    default_factory=lambda: RegionConfig(num_regions=4, feature_dim=15360)
  )
  stage_dims: tuple[int, ...] = (256, 512, 1024, 2048)
  projection_dim: Count = 800
  variant: str = "equations"
  prefix_rules: PrefixRules | None = None
  pooling: str = "entity_start"

  system = "hvpnet"
  presets = Presets("prefix_rules", "variant", VARIANTS, PrefixRules)

  def __post_init__(self):
    """Raises ValueError for settings that no model can have."""
    check_choice("model.variant", self.variant, tuple(VARIANTS))
    check_choice("model.pooling", self.pooling, POOLINGS)
    super().__post_init__()
    expected = NUM_PLACES * sum(self.stage_dims)
    if self.regions.feature_dim not in (None, expected):
      raise ValueError(
        f"model.regions.feature_dim: expected {expected}, the pyramid of"
        f" stage_dims {self.stage_dims}, got {self.regions.feature_dim}"
      )

  @property
  def rules(self) -> PrefixRules:
    """The rules in force."""
    return self.prefix_rules or VARIANTS[self.variant]

  @property
  def scans_layers(self) -> bool:
    """Always: a layer's prefix is an input of it."""
    return True

  @property
  def packs_texts(self) -> bool:
    """Always: nothing attends to padding."""
    return True

  @property
  def weight_names(self) -> tuple[str, ...]:
    """Layers, unless their heads mix the tokens of a prefix."""
    layers = range(self.text.num_layers) if self.rules.heads_split else ()
    return tuple(map(str, layers))


class Pyramid(nn.Module):
  """Makes the prefixes of all layers from the features of regions."""

  config: HVPNeTConfig

  def setup(self):
    """Declares projections, gates, and the features of absent regions."""
    config, rules = self.config, self.config.rules
    dtype = jnp.dtype(config.dtype)
    width = config.text.hidden_dim
    self._level_dim = width if rules.projected else 2 * width
    linear = lambda features: transformer.Linear(features, dtype)  # noqa: E731
    layers = range(config.text.num_layers)
    if rules.levels_by_stage:
      self.stage = [linear(self._level_dim) for _ in config.stage_dims]
    else:
      self.project_in = linear(config.projection_dim)
      self.project_out = linear(len(config.stage_dims) * self._level_dim)
    self.gate = [linear(len(config.stage_dims)) for _ in layers]
    if rules.projected:
      self.prefix = [linear(2 * width) for _ in layers]
    if not rules.absent_masked:
      # Of a blank picture; scenes bring them (`training.model_inputs`).
      self.absent = self.param(
        "absent",
        nn.initializers.zeros_init(),
        (NUM_PLACES * sum(config.stage_dims),),
      )

  def __call__(self, features: jax.Array, mask: jax.Array) -> KeyValue:
    """Returns keys and values to lend, float[layers, B, 4M, D] each.

    Args:
      features: float[B, M, 4 * channels]: channel by channel, its four places
        row by row.
      mask: bool[B, M], True = real.
    """
    if not self.config.rules.absent_masked:
      features = jnp.where(mask[..., None], features, self.absent)
    levels = self._levels(features.astype(self.config.dtype))
    pairs = [self._prefix(layer, levels) for layer in range(len(self.gate))]
    return KeyValue(*map(jnp.stack, zip(*pairs, strict=True)))

  def _levels(self, features: jax.Array) -> jax.Array:
    """Returns float[levels, B, M, 4, level_dim]."""
    rules, stages = self.config.rules, self.config.stage_dims
    *shape, _ = features.shape
    if rules.tokens_are_places:
      tokens = features.reshape(*shape, sum(stages), NUM_PLACES).swapaxes(2, 3)
    else:
      tokens = features.reshape(*shape, NUM_PLACES, sum(stages))
    if rules.levels_by_stage:
      cuts = [sum(stages[:i]) for i in range(1, len(stages))]
      parts = jnp.split(tokens, cuts, axis=-1)
      levels = [
        stage(part) for stage, part in zip(self.stage, parts, strict=True)
      ]
    else:
      projected = self.project_out(jnp.tanh(self.project_in(tokens)))
      levels = jnp.split(projected, len(stages), axis=-1)
    return jnp.stack(levels)

  def _prefix(self, layer: int, levels: jax.Array) -> KeyValue:
    """Returns a layer's keys and values, float[B, 4M, D] each."""
    rules = self.config.rules
    mean = jnp.mean(levels, axis=0)
    if rules.pooled_gate:
      summary = jnp.mean(mean, axis=2)
    else:
      summary = mean.reshape(*mean.shape[:2], -1)
    scores = nn.leaky_relu(self.gate[layer](summary), _LEAK)
    shares = jax.nn.softmax(scores.astype(jnp.float32)).astype(levels.dtype)
    mixed = jnp.einsum("bml,lbmpd->bmpd", shares, levels)
    mixed = mixed.reshape(len(mixed), -1, self._level_dim)
    if rules.projected:
      mixed = self.prefix[layer](mixed)
    lent = jnp.split(mixed, 2, axis=-1)
    if not rules.heads_split:
      heads = self.config.text.num_heads
      lent = [transformer.scrambled_heads(part, heads) for part in lent]
    return KeyValue(*lent)
