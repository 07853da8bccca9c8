"""One text layer and one visual layer, which lend each other keys and values.

Equation (2) of arXiv:2211.07504; the released code's departures are the fields
of `config.Exchange`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ifa_jax.models.config import ModelConfig
from ifa_jax.models.encoders.text_layer import TextLayer, read_texts
from ifa_jax.models.encoders.vision import VisualLayer
from ifa_jax.models.layers import transformer
from ifa_jax.models.layers.packing import Packing
from ifa_jax.models.layers.transformer import KeyValue


class KeyBiases(NamedTuple):
  """What is added to attention logits, lent keys first.

  Attributes:
    text: float32[B, P+T] (float32[B, T] without a visual stream).
    visual: float32[B, T+P], or float32[B, P] where it reads no text.
  """

  text: jax.Array
  visual: jax.Array


class Streams(NamedTuple):
  """What goes into a pair of layers, and comes out.

  Attributes:
    text: float[B, T, D], or float[N, D] packed.
    visual: float[B, P, D].
    earlier: what the text layer before projected, where the visual layer reads
      that; else None.
  """

  text: jax.Array
  visual: jax.Array
  earlier: KeyValue | None = None


class Weights(NamedTuple):
  """Attention of a pair: float32[B, T, P+T] and float32[B, P, T+P]."""

  text: jax.Array
  visual: jax.Array


class LayerPair(NamedTuple):
  """Two layers side by side, bound to their parameters.

  Attributes:
    text: BERT's.
    visual: ViT's.
    config: of the model.
    first: whether they are the streams' first.
    packing: of a batch whose texts are packed.
  """

  text: TextLayer
  visual: VisualLayer
  config: ModelConfig
  first: bool = False
  packing: Packing | None = None

  def run(
    self, streams: Streams, bias: KeyBiases, train: bool
  ) -> tuple[Streams, Weights]:
    """Returns what goes into the next pair, and where each stream looked."""
    query, own = self.text.project(streams.text, self.packing)
    visual_query, visual_own = self.visual.project(streams.visual)
    to_text, to_visual = self._lend(streams, own, visual_own)
    text = self.text.attend(query, own, to_text, bias.text, train=train)
    visual = self.visual.attend(
      visual_query, visual_own, to_visual, bias.visual
    )
    late = self.config.rules.text_lends_late
    after = Streams(
      self.text.update(streams.text, text.values, self.packing, train=train),
      self.visual.update(streams.visual, visual.values),
      own if late else None,
    )
    return after, Weights(text.weights, visual.weights)

  def read(
    self,
    streams: Streams,
    bias: KeyBiases,
    positions: jax.Array,
    train: bool,
  ) -> jax.Array:
    """Returns the text layer's outcome at int32[B, R] alone, float[B, R, D].

    What else the last pair would compute reaches no logit.
    """
    _, own = self.text.project(streams.text, self.packing)
    _, visual_own = self.visual.project(streams.visual)
    to_text, _ = self._lend(streams, own, visual_own)
    hidden = read_texts(streams.text, positions, self.packing)
    return self.text.run(hidden, own, to_text, bias.text, train=train)

  def _lend(
    self, streams: Streams, text_own: KeyValue, visual_own: KeyValue
  ) -> tuple[KeyValue, KeyValue | None]:
    """Returns what the text reads of the picture, and the picture of it."""
    rules, to_text, to_visual = self.config.rules, visual_own, text_own
    if rules.raw_first_layer and self.first:
      to_text = _raw(streams.visual, self.text.config.num_heads)
      to_visual = _raw(streams.text, self.visual.config.num_heads)
    elif rules.text_lends_late and not self.first:
      to_visual = streams.earlier
    if rules.keys_as_values:
      to_text = KeyValue(to_text.key, to_text.key)
    return to_text, to_visual if self.config.text_attention else None


def _raw(embedded: jax.Array, num_heads: int) -> KeyValue:
  """Lends a stream's embeddings as keys and values alike."""
  scrambled = transformer.scrambled_heads(embedded, num_heads)
  return KeyValue(scrambled, scrambled)


def key_biases(
  text_mask: jax.Array, visual_mask: jax.Array, config: ModelConfig
) -> KeyBiases:
  """Returns the biases for bool[B, T] and bool[B, P] (True = real)."""
  rules = config.rules
  padding = transformer.mask_bias(text_mask, rules.padding_bias)
  absent = transformer.mask_bias(visual_mask, rules.padding_bias)
  lent = padding if rules.padding_masked_in_visual else 0 * padding
  return KeyBiases(
    text=jnp.concatenate([absent + rules.visual_bias, padding], axis=1),
    visual=jnp.concatenate([lent, absent], axis=1)
    if config.text_attention
    else absent,
  )
