"""HVPNeT: a pyramid of visual features as a prefix of BERT's keys and values.

Chen et al. 2022 (arXiv:2205.03521). A picture and its objects are regions with
the features of a ResNet's four stages, each pooled to 2 x 2. Levels made from
them are mixed for each layer l of BERT by a gate:

    g^l = softmax(LeakyReLU(W_l s)),  prefix^l = sum_i g^l_i level_i
    H'  = Attn(Q, [K_prefix; K], [V_prefix; V])

s is a summary of the levels. A region gives four prefix tokens.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.files.dataclass_dict import check_choice
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.config import PADDING_BIAS, TextSystem
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.models.encoders.text_layer import TextLayer, read_rows
from ifa_jax.models.layers import scan, transformer
from ifa_jax.models.layers.packing import Packing, packing_of
from ifa_jax.models.layers.transformer import Dropout, KeyValue
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.relation_head import marker_positions

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
    """Raises ValueError for levels by stage of tokens that mix the stages."""
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
    prefix_rules: None takes the preset; set it to depart from the preset.
    pooling: states that are classified, "entity_start" or "cls".
  """

  regions: RegionConfig = dataclasses.field(
    default_factory=lambda: RegionConfig(num_regions=4, feature_dim=15360)
  )
  stage_dims: tuple[int, ...] = (256, 512, 1024, 2048)
  projection_dim: int = 800
  variant: str = "equations"
  prefix_rules: PrefixRules | None = None
  pooling: str = "entity_start"

  system = "hvpnet"

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
      # Of a blank picture; a constant of the encoder of regions.
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


class _Read(NamedTuple):
  """States float[B, T, D] and attention weights float32[B, T, 4M+T]."""

  hidden: list[jax.Array]
  weights: list[jax.Array]


class HVPNeT(nn.Module):
  """Maps a `Batch` to relation logits.

  Attributes:
    config: shape of the model.
    remat: see `layers.scan.scan_layers`; of layers that are stacked.
  """

  config: HVPNeTConfig
  remat: bool = False

  def setup(self):
    """Declares `text`, `pyramid` and `relation_head`."""
    config = self.config
    dtype = jnp.dtype(config.dtype)
    self.text = TextStream(config.text, dtype, self.remat)
    self.pyramid = Pyramid(config)
    self.relation_head = transformer.Linear(config.num_relations, jnp.float32)
    self.head_dropout = Dropout(config.head_dropout_rate)

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; `capture` adds states, attention and its maps."""
    regions, mask = self._regions(batch)
    prefix = self.pyramid(regions, mask)
    bias = self._bias(batch.attention_mask, mask)
    if capture:
      read = self._read_all(batch, prefix, bias, train)
      states = read_rows(read.hidden[-1], self._positions(batch))
      kept = self._captured(read, mask.shape[1])
    else:
      states, kept = self._read(batch, prefix, bias, train), {}
    return ModelOutput(self._classify(states, train), **kept)

  def _regions(self, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Returns features and mask; a batch without any has none."""
    if batch.regions is not None:
      return jnp.asarray(batch.regions), jnp.asarray(batch.region_mask)
    rows, slots = len(batch.input_ids), self.config.regions.num_regions
    width = NUM_PLACES * sum(self.config.stage_dims)
    return jnp.zeros((rows, slots, width)), jnp.zeros((rows, slots), bool)

  def _bias(self, text_mask: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns float32[B, 4M+T], the prefix first."""
    rules = self.config.rules
    seen = mask if rules.absent_masked else jnp.ones_like(mask)
    tokens = jnp.repeat(seen, NUM_PLACES, axis=1)
    biases = [
      transformer.mask_bias(kind, rules.padding_bias)
      for kind in (tokens, text_mask)
    ]
    return jnp.concatenate(biases, axis=1)

  def _positions(self, batch: Batch) -> jax.Array:
    if self.config.pooling == "cls":
      return jnp.zeros((len(batch.input_ids), 1), jnp.int32)
    return marker_positions(batch)

  def _read(
    self, batch: Batch, prefix: KeyValue, bias: jax.Array, train: bool
  ) -> jax.Array:
    """Returns the last states at the classified positions only."""
    packing = packing_of(batch)
    hidden = self.text.embed(batch, packing, train=train)
    before = KeyValue(*(part[:-1] for part in prefix))
    stacked = scan.stacked_layers(self.text)
    if stacked is None:
      layers = self.text.layer[:-1]
      hidden = _run(layers, hidden, before, bias, packing, train).hidden[-1]
    else:
      hidden = self._scan((stacked, before), hidden, bias, packing, train)
    lent = KeyValue(*(part[-1] for part in prefix))
    return self.text.layer[-1].run_at(
      self._positions(batch), hidden, lent, bias, packing, train=train
    )

  def _scan(self, stacked, hidden, bias, packing, train) -> jax.Array:
    config = self.config

    def run_layer(hidden, inputs, rng):
      params, lent = inputs
      unbound = TextLayer(config.text, jnp.dtype(config.dtype), parent=None)
      layer = scan.bind_layer(unbound, params, rng)
      lent = KeyValue(*(part[None] for part in lent))
      return _run([layer], hidden, lent, bias, packing, train).hidden[-1]  # pyright: ignore[reportArgumentType]

    rng = self.make_rng("dropout") if train else None
    return scan.scan_layers(run_layer, hidden, stacked, rng, self.remat)

  def _read_all(
    self, batch: Batch, prefix: KeyValue, bias: jax.Array, train: bool
  ) -> _Read:
    hidden = self.text.embed(batch, train=train)
    return _run(self.text.layer, hidden, prefix, bias, None, train)

  def _captured(self, read: _Read, num_regions: int) -> dict[str, jax.Array]:
    weights = jnp.stack(read.weights)
    kept = {"text_hidden": jnp.stack(read.hidden), "text_attention": weights}
    if self.config.rules.heads_split:
      prefix = weights[..., : NUM_PLACES * num_regions]
      cut = prefix.reshape(*prefix.shape[:3], num_regions, NUM_PLACES)
      kept["region_weights"] = cut.sum(-1)
    return kept

  def _classify(self, states: jax.Array, train: bool) -> jax.Array:
    """Maps float[B, 1 or 2, D] to float32[B, C]."""
    pair = states.reshape(len(states), -1)
    drop = train and self.config.rules.head_dropout
    pair = self.head_dropout(pair, deterministic=not drop)
    return self.relation_head(pair.astype(jnp.float32))


def _run(
  layers: Sequence[TextLayer],
  hidden: jax.Array,
  prefix: KeyValue,
  bias: jax.Array,
  packing: Packing | None,
  train: bool,
) -> _Read:
  """Runs layers on float[B, T, D], each with its part of a prefix."""
  states, weights = [hidden], []
  for number, layer in enumerate(layers):
    query, own = layer.project(states[-1], packing)
    lent = KeyValue(*(part[number] for part in prefix))
    attended = layer.attend(query, own, lent, bias, train=train)
    states.append(
      layer.update(states[-1], attended.values, packing, train=train)
    )
    weights.append(attended.weights)
  return _Read(states, weights)
