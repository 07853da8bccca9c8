"""MKGformer: vision reads the text, and the text's MLP reads the vision.

Chen et al. 2022 (arXiv:2205.02357). In the last layers, the vision stream also
attends to the keys and values of the text (prefix-guided interaction), and the
MLP of the text adds a mixture of visual states for each token
(correlation-aware fusion):

    A = softmax(x_t x_v'),   MLP(h) = W2 gelu(W1 h + W3 A x_v)

without a scale, heads or positions: over the whole width of the streams.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.files.dataclass_dict import check_choice
from ifa_jax.models.base import Presets
from ifa_jax.models.config import check_equal
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.models.encoders.text_layer import read_rows
from ifa_jax.models.encoders.two_stream import TwoStreamConfig
from ifa_jax.models.encoders.vision import VisualStream
from ifa_jax.models.exchange import RELEASED_STREAMS, StreamRules
from ifa_jax.models.layers import matmul, transformer
from ifa_jax.models.layers.transformer import Dropout, KeyValue
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.relation_head import marker_positions

QUERIES = ("hidden", "context")
VISUALS = ("attended", "output")


@dataclasses.dataclass(frozen=True)
class FusionRules(StreamRules):
  """Departures of the released code from the equations, one field each.

  The defaults are the equations as later papers print them, since the paper's
  own were not at hand; lines are of MRE/models/modeling_unimo.py in
  zjunlp/MKGformer@6dc924d. In either form the MLP has BERT's gelu, for which
  its weights were pretrained, where ReLU is printed, and the relation is read
  from the markers, as in the code, where the paper has [CLS].

  Attributes:
    fused_layers: number of layers, the last ones, that fuse. Released: 4
      (602-617), where the paper states 3.
    padding_masked_in_visual: vision does not attend to padding. Released: no
      mask at all.
    text_lends_late: vision layer l reads the keys of text layer l - 1. Released
      (226-228).
    query: the text state that is compared with vision, "hidden" (the input of
      the MLP) or "context" (attention's outcome before its output projection).
      Released (383-386): "context".
    visual: the visual state that is mixed, "attended" (before the layer's MLP)
      or "output" (after it). Released: "output".
    fusion_bias: W3 has a bias. Released (427).
  """

  fused_layers: int = 3
  padding_masked_in_visual: bool = True
  text_lends_late: bool = False
  query: str = "hidden"
  visual: str = "attended"
  fusion_bias: bool = False

  def __post_init__(self):
    """Raises ValueError for an unknown choice."""
    check_choice("model.fusion_rules.query", self.query, QUERIES)
    check_choice("model.fusion_rules.visual", self.visual, VISUALS)


VARIANTS = {
  "equations": FusionRules(),
  "released": FusionRules(
    fused_layers=4,
    padding_masked_in_visual=False,
    text_lends_late=True,
    query="context",
    visual="output",
    fusion_bias=True,
    **RELEASED_STREAMS,
  ),
}


@dataclasses.dataclass(frozen=True)
class MKGformerConfig(TwoStreamConfig):
  """MKGformer's sizes and switches.

  Attributes:
    variant: "equations" or "released", a preset of `FusionRules`.
    fusion_rules: departures from the preset; None is the preset itself.
  """

  variant: str = "equations"
  fusion_rules: FusionRules | None = None

  system = "mkgformer"
  presets = Presets("fusion_rules", "variant", VARIANTS, FusionRules)

  def __post_init__(self):
    """Raises ValueError for settings that no model can have."""
    check_choice("model.variant", self.variant, tuple(VARIANTS))
    super().__post_init__()
    text = self.text
    check_equal("vision", "hidden_dim", text, self.vision)
    check_equal("vision", "num_layers", text, self.vision)
    fused, lowest = self.rules.fused_layers, int(self.rules.text_lends_late)
    if not 0 <= fused <= text.num_layers - lowest:
      raise ValueError(
        f"model.fusion_rules.fused_layers: expected 0 to"
        f" {text.num_layers - lowest}, got {fused}"
      )

  @property
  def rules(self) -> FusionRules:
    """The rules in force; a preset fuses at most the layers that there are."""
    preset = VARIANTS[self.variant]
    rules = self.fusion_rules or preset
    if rules.fused_layers != preset.fused_layers:
      return rules
    most = self.text.num_layers - rules.text_lends_late
    return dataclasses.replace(
      rules, fused_layers=min(preset.fused_layers, most)
    )

  @property
  def first_fused(self) -> int:
    """The first layer that fuses, from 0."""
    return self.text.num_layers - self.rules.fused_layers

  @property
  def map_titles(self) -> tuple[str, ...]:
    """The layers of the captured maps."""
    layers = range(self.first_fused, self.text.num_layers)
    return tuple(f"layer {layer}" for layer in layers)

  @property
  def sees_padding(self) -> bool:
    """Whether the vision stream attends to padding."""
    return not self.rules.padding_masked_in_visual


class _Biases(NamedTuple):
  """Added to attention logits: float32[B, T], [B, T+P] and [B, P]."""

  text: jax.Array
  fused: jax.Array
  visual: jax.Array


class _States(NamedTuple):
  """Inputs of a layer: both streams, and the keys that vision reads late."""

  text: jax.Array
  visual: jax.Array
  earlier: KeyValue | None = None


class MKGformer(nn.Module):
  """Maps a `Batch` to relation logits."""

  config: MKGformerConfig

  def setup(self):
    """Declares both streams, a `fusion` per fused layer, and the head."""
    config, rules = self.config, self.config.rules
    dtype = jnp.dtype(config.dtype)
    self.text = TextStream(config.text, dtype)
    self.visual = VisualStream(config.vision, rules, dtype)
    self.fusion = [
      transformer.Linear(config.text.mlp_dim, dtype, rules.fusion_bias)
      for _ in range(rules.fused_layers)
    ]
    self.relation_head = transformer.Linear(config.num_relations, jnp.float32)
    self.head_dropout = Dropout(config.head_dropout_rate)

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; `capture` adds states and the maps of the fused layers.

    `text_attention` is then A, float32[fused layers, B, T, P].
    """
    config, rules = self.config, self.config.rules
    tokens = self.visual.embed(batch, config.use_image, config.use_objects)
    mask = tokens.mask if rules.absent_masked else jnp.ones_like(tokens.mask)
    bias = self._biases(batch.attention_mask, mask)
    states = _States(self.text.embed(batch, train=train), tokens.hidden)
    markers = marker_positions(batch)
    last = config.text.num_layers - 1
    kept, maps = [states], []
    for layer in range(config.text.num_layers):
      # The last layer's text is read at the markers only.
      at = markers if layer == last and not capture else None
      states, weights = self._run_layer(layer, states, bias, at, train)
      kept.append(states)
      maps += [] if weights is None else [weights]
    pair = states.text if not capture else read_rows(states.text, markers)
    logits = self._classify(pair, train)
    if not capture:
      return ModelOutput(logits)
    return ModelOutput(
      logits,
      text_hidden=jnp.stack([state.text for state in kept]),
      text_attention=jnp.stack(maps) if maps else None,
      visual_hidden=jnp.stack([state.visual for state in kept]),
      visual_mask=mask,
    )

  def _biases(self, text_mask: jax.Array, visual_mask: jax.Array) -> _Biases:
    rules = self.config.rules
    text = transformer.mask_bias(text_mask, rules.padding_bias)
    visual = transformer.mask_bias(visual_mask, rules.padding_bias)
    # The released code lets vision attend to the text's padding too.
    lent = text if rules.padding_masked_in_visual else 0 * text
    return _Biases(text, jnp.concatenate([lent, visual], axis=1), visual)

  def _run_layer(
    self,
    number: int,
    states: _States,
    bias: _Biases,
    positions: jax.Array | None,
    train: bool,
  ) -> tuple[_States, jax.Array | None]:
    """Runs both streams' layer; its text at int32[B, R] if given."""
    rules = self.config.rules
    index = number - self.config.first_fused
    layer, visual_layer = self.text.layer[number], self.visual.layer[number]
    query, own = layer.project(states.text)
    hidden = states.text
    if positions is not None:
      hidden, query = read_rows(hidden, positions), read_rows(query, positions)
    lent = None
    # Below the first fused layer, index < 0, the streams are independent.
    if index >= 0:
      lent = states.earlier if rules.text_lends_late else own
    visual_query, visual_own = visual_layer.project(states.visual)
    visual_bias = bias.visual if lent is None else bias.fused
    attended = visual_layer.add_attention(
      states.visual,
      visual_layer.attend(visual_query, visual_own, lent, visual_bias).values,
    )
    visual = visual_layer.add_mlp(attended)
    context = layer.attend(query, own, None, bias.text, train=train).values
    hidden = layer.add_attention(hidden, context, train=train)
    extra = weights = None
    # The vision layer has run by now: the text's MLP may mix its output.
    if index >= 0:
      compared = context if rules.query == "context" else hidden
      seen = visual if rules.visual == "output" else attended
      mixed, weights = _mix(compared, seen, bias.visual)
      extra = self.fusion[index](mixed)
    text = layer.add_mlp(hidden, extra, train=train)
    return _States(
      text, visual, own if rules.text_lends_late else None
    ), weights

  def _classify(self, markers: jax.Array, train: bool) -> jax.Array:
    """Maps float[B, 2, D] to float32[B, C]."""
    pair = markers.reshape(len(markers), -1)
    drop = train and self.config.rules.head_dropout
    pair = self.head_dropout(pair, deterministic=not drop)
    # The loss is computed in float32, and bfloat16 logits would tie.
    return self.relation_head(pair.astype(jnp.float32))


def _mix(
  text: jax.Array, visual: jax.Array, bias: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Mixes visual states for each token by their likeness.

  Args:
    text: float[B, T, D].
    visual: float[B, P, D].
    bias: float32[B, P], of absent tokens.

  Returns:
    float[B, T, D], and the weights A, float32[B, T, P].
  """
  # One head as wide as the stream.
  text, visual = text[:, None], visual[:, None]
  weights = jax.nn.softmax(matmul.compare(text, visual) + bias[:, None, None])
  mixed = matmul.mix(weights.astype(visual.dtype), visual)
  return mixed[:, 0].astype(visual.dtype), weights[:, 0]
