"""IFAformer: two streams that lend each other keys and values at every layer.

Li et al. 2023 (arXiv:2211.07504), equations (1) and (2); the released code's
departures are the fields of `config.Exchange`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models import attention
from ifa_jax.models.attention import KeyValue
from ifa_jax.models.config import ModelConfig
from ifa_jax.models.head import entity_starts
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.text import TextStream
from ifa_jax.models.visual import VisualStream, VisualTokens


class KeyBiases(NamedTuple):
  """What is added to attention logits, lent keys first.

  Attributes:
    text: float32[B, P+T] (float32[B, T] without a visual stream).
    visual: float32[B, T+P], or float32[B, P] where it reads no text.
  """

  text: jax.Array
  visual: jax.Array | None


class IFAformer(nn.Module):
  """Maps a `Batch` to relation logits.

  The last visual layer's output reaches nothing, since text layer l reads what
  goes *into* visual layer l. It is computed here all the same, for `capture`
  and so that every parameter exists; compiled code drops it.
  """

  config: ModelConfig

  def setup(self):
    """Declares `text`, `visual` (unless text only) and `relation_head`."""
    config = self.config
    dtype = jnp.dtype(config.dtype)
    self.text = TextStream(config.text, dtype)
    if config.vision is not None:
      self.visual = VisualStream(config.vision, config.rules, dtype)
    self.relation_head = attention.dense(config.num_relations, jnp.float32)
    self.head_dropout = nn.Dropout(config.head_dropout_rate)

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; `train` drops out, `capture` keeps what lies between."""
    if self.config.vision is None:
      text, captured = self._encode_text(batch, train)
    else:
      text, captured = self._encode(self._visual_tokens(batch), batch, train)
    logits = self._classify(text, batch, train)
    return ModelOutput(logits, **captured if capture else {})

  def _encode_text(self, batch, train):
    """Runs BERT alone; see `_encode`."""
    bias = self.config.rules.padding_bias
    read = self.text(batch, train=train, padding_bias=bias)
    return read.hidden[-1], read.captured()

  def _visual_tokens(self, batch: Batch) -> VisualTokens:
    config = self.config
    tokens = self.visual.embed(batch, config.use_image, config.use_objects)
    if config.rules.absent_masked:
      return tokens
    return tokens._replace(mask=jnp.ones_like(tokens.mask))

  def _encode(self, tokens, batch, train):
    """Runs both streams; returns float[B, T, D] and what `capture` keeps."""
    config, visual = self.config, tokens.hidden
    text = self.text.embed(batch.input_ids, batch.token_type_ids, train=train)
    bias = self._key_biases(batch.attention_mask, tokens.mask)
    text_states, visual_states = [text], [visual]
    text_weights, visual_weights = [], []
    earlier = None
    for i, (text_layer, visual_layer) in enumerate(
      zip(self.text.layer, self.visual.layer, strict=True)
    ):
      text_query, text_own = text_layer.project(text)
      visual_query, visual_own = visual_layer.project(visual)
      to_text, to_visual = visual_own, text_own
      if config.rules.raw_first_layer and i == 0:
        to_text = self._raw(visual, config.text.num_heads)
        to_visual = self._raw(text, config.vision.num_heads)
      elif config.rules.text_lends_late and i > 0:
        to_visual = earlier
      if config.rules.keys_as_values:
        to_text = KeyValue(to_text.key, to_text.key)
      if not config.text_attention:
        to_visual = None
      earlier = text_own

      read_text = text_layer.attend(
        text_query, text_own, to_text, bias.text, train=train
      )
      read_visual = visual_layer.attend(
        visual_query, visual_own, to_visual, bias.visual
      )
      text = text_layer.update(text, read_text.values, train=train)
      visual = visual_layer.update(visual, read_visual.values)
      text_states.append(text)
      visual_states.append(visual)
      text_weights.append(read_text.weights)
      visual_weights.append(read_visual.weights)
    return text, {
      "text_hidden": jnp.stack(text_states),
      "text_attention": jnp.stack(text_weights),
      "visual_hidden": jnp.stack(visual_states),
      "visual_attention": jnp.stack(visual_weights),
      "visual_mask": tokens.mask,
    }

  def _raw(self, embedded: jax.Array, num_heads: int) -> KeyValue:
    """Lends a stream's embeddings as keys and values alike."""
    scrambled = attention.scrambled_heads(embedded, num_heads)
    return KeyValue(scrambled, scrambled)

  def _key_biases(self, text_mask, visual_mask) -> KeyBiases:
    """Returns the biases for bool[B, T] and bool[B, P] (True = real)."""
    rules = self.config.rules
    padding = attention.mask_bias(text_mask, rules.padding_bias)
    absent = attention.mask_bias(visual_mask, rules.padding_bias)
    lent = padding if rules.padding_masked_in_visual else 0 * padding
    return KeyBiases(
      text=jnp.concatenate([absent + rules.visual_bias, padding], axis=1),
      visual=jnp.concatenate([lent, absent], axis=1)
      if self.config.text_attention
      else absent,
    )

  def _classify(self, text: jax.Array, batch: Batch, train: bool) -> jax.Array:
    """Reads both opening markers, float[B, 2D], and returns float32[B, C]."""
    pair = entity_starts(text, batch)
    drop = train and self.config.rules.head_dropout
    pair = self.head_dropout(pair, deterministic=not drop)
    return self.relation_head(pair.astype(jnp.float32))
