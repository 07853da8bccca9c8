"""One text layer and one visual layer, which lend each other keys and values.

Equation (2) of arXiv:2211.07504. Differences of the released code are fields
of `exchange.Exchange`. In `caption`, the visual layer is BERT's and P is the
length of captions.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ifa_jax.models.encoders.text_layer import TextLayer
from ifa_jax.models.encoders.vision import VisualLayer
from ifa_jax.models.layers import transformer
from ifa_jax.models.layers.packing import Packing
from ifa_jax.models.layers.transformer import KeyValue


class KeyBiases(NamedTuple):
  """Biases of the attention logits, lent keys first.

  Attributes:
    text: float32[B, P+T].
    visual: float32[B, T+P], or float32[B, P] without text attention; None if
      the rules mask nothing.
  """

  text: jax.Array
  visual: jax.Array | None


class Streams(NamedTuple):
  """Input and output of a pair of layers.

  Attributes:
    text: float[B, T, D], or float[N, D] if packed.
    visual: float[B, P, D].
    earlier: keys and values of the previous text layer if the visual layer
      reads those, else None.
  """

  text: jax.Array
  visual: jax.Array
  earlier: KeyValue | None = None


class LayerPair(NamedTuple):
  """A text layer and a visual layer, bound to their parameters.

  Attributes:
    text: BERT's.
    visual: ViT's, or BERT's for captions.
    config: `ModelConfig`, or `caption.CaptionConfig`.
    first: whether they are the streams' first.
    packing: of a packed batch.
  """

  text: TextLayer
  visual: VisualLayer | TextLayer
  config: Any
  first: bool = False
  packing: Packing | None = None

  def run(
    self, streams: Streams, bias: KeyBiases, train: bool
  ) -> tuple[Streams, tuple[jax.Array, jax.Array]]:
    """Returns the next pair's input, and both streams' attention.

    Attention is float32[B, T, P+T] of text and float32[B, P, T+P] of vision,
    mean over heads.
    """
    query, own = self.text.project(streams.text, self.packing)
    visual_query, visual_own = self.visual.project(streams.visual)
    to_text = self._lent_to_text(streams, visual_own)
    to_visual = self._lent_to_visual(streams, own)
    text = self.text.attend(query, own, to_text, bias.text, train=train)
    visual = self.visual.attend(
      visual_query, visual_own, to_visual, bias.visual, train=train
    )
    # Only where it is read: in a scan, all that is carried costs memory.
    earlier = own if self.config.rules.text_lends_late else None
    after = Streams(
      self.text.update(streams.text, text.values, self.packing, train=train),
      self.visual.update(streams.visual, visual.values, train=train),
      earlier,
    )
    return after, (text.weights, visual.weights)

  def read(
    self, streams: Streams, bias: KeyBiases, positions: jax.Array, train: bool
  ) -> jax.Array:
    """Returns the text layer's output at int32[B, R] only: float[B, R, D]."""
    _, visual_own = self.visual.project(streams.visual)
    to_text = self._lent_to_text(streams, visual_own)
    return self.text.run_at(
      positions, streams.text, to_text, bias.text, self.packing, train=train
    )

  def _lent_to_text(self, streams: Streams, visual_own: KeyValue) -> KeyValue:
    rules, lent = self.config.rules, visual_own
    # In the first layer nothing has been projected when the other stream reads.
    if rules.raw_first_layer and self.first:
      lent = _raw(streams.visual, self.text.config.num_heads)
    # modeling_IFA.py:352 concatenates the visual keys to the text's values.
    return KeyValue(lent.key, lent.key) if rules.keys_as_values else lent

  def _lent_to_visual(
    self, streams: Streams, text_own: KeyValue
  ) -> KeyValue | None:
    rules = self.config.rules
    if not self.config.text_attention:
      return None
    if rules.raw_first_layer and self.first:
      return _raw(streams.text, self.visual.config.num_heads)
    # modeling_IFA.py:594-639 runs the visual layer before the text layer, so it
    # finds the keys and values of the text layer before.
    if rules.text_lends_late and not self.first:
      return streams.earlier
    return text_own


def _raw(embedded: jax.Array, num_heads: int) -> KeyValue:
  """Lends a stream's embeddings as both keys and values."""
  scrambled = transformer.scrambled_heads(embedded, num_heads)
  return KeyValue(scrambled, scrambled)


def key_biases(
  text_mask: jax.Array,
  visual_mask: jax.Array,
  config: Any,
) -> KeyBiases:
  """Returns the biases for bool[B, T] and bool[B, P] (True = real)."""
  rules = config.rules
  padding = transformer.mask_bias(text_mask, rules.padding_bias)
  visual = absent = transformer.mask_bias(visual_mask, rules.padding_bias)
  # The released visual stream attends to padding like to any other token, and
  # to absent crops.
  masks_text = config.text_attention and rules.padding_masked_in_visual
  if config.text_attention:
    lent = padding if masks_text else 0 * padding
    visual = jnp.concatenate([lent, absent], axis=1)
  if not (masks_text or rules.absent_masked):
    visual = None
  text = jnp.concatenate([absent + rules.visual_bias, padding], axis=1)
  return KeyBiases(text, visual)
