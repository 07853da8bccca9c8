"""HVFormer: a text that looks at three depths of a vision stream.

Liu et al. 2024 (AAAI), as liuxiyang641/HVFormer@9b6a662 computes it
(models/bert_vit_inter_base_model.py). BERT and ViT run separately. With t the
text's last states and V_i the visual states after layer i:

    y_i = LN(Attn(t, V_i, V_i)),           i = 0, n/2, n
    e_i = gelu([t; y_i] E1_i) E2_i + t,    an expert for each depth
    out = r_0 t + sum_i r_i e_i,           r = softmax(W [t; y_0; ...])

No gradient reaches the vision stream (719-721).
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.files.dataclass_dict import Rate
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.models.encoders.text_layer import read_rows
from ifa_jax.models.encoders.two_stream import TwoStreamConfig
from ifa_jax.models.encoders.vision import VisualStream
from ifa_jax.models.exchange import RELEASED_STREAMS, StreamRules
from ifa_jax.models.layers import matmul, transformer
from ifa_jax.models.layers.transformer import ACTIVATIONS, Dropout
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.relation_head import marker_positions

_RULES = StreamRules(**RELEASED_STREAMS)
_NORM_EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class HVFormerConfig(TwoStreamConfig):
  """HVFormer's sizes; the computation is that of the released code.

  That code has no dropout before the relation head and no tokens of the whole
  picture: `head_dropout_rate` and `use_image` have no effect.

  Attributes:
    look_dropout_rate: of the attention weights of a look.
  """

  look_dropout_rate: Rate = 0.1

  system = "hvformer"

  @property
  def rules(self) -> StreamRules:
    """Those of the released code; no others have been published."""
    return _RULES

  @property
  def depths(self) -> tuple[int, ...]:
    """The numbers of vision layers after which the text looks."""
    layers = self.vision.num_layers
    return (0, layers // 2, layers)

  @property
  def map_titles(self) -> tuple[str, ...]:
    """The depths of the captured maps."""
    return tuple(f"after vision layer {depth}" for depth in self.depths)

  @property
  def packs_texts(self) -> bool:
    """Always: the vision stream does not read the text."""
    return True


def init_experts(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32):
  """Draws experts as torch's `xavier_uniform_` does for three axes.

  It takes the last axis for a receptive field, so that the limits, 0.0023 and
  0.0032 at base size, are a tenth of a matrix's: experts begin as the text.
  """
  limit = (6 / ((shape[0] + shape[1]) * shape[2])) ** 0.5
  return jax.random.uniform(key, shape, dtype, -limit, limit)


class Look(nn.Module):
  """Attention of the text to a vision stream's states, normalised."""

  config: HVFormerConfig

  def setup(self):
    """Declares the projections and the norm."""
    config, dtype = self.config, jnp.dtype(self.config.dtype)
    self.attention = transformer.Projections(config.text.hidden_dim, dtype)
    self.norm = transformer.layer_norm(_NORM_EPSILON, dtype)
    self.dropout = Dropout(config.look_dropout_rate)

  def __call__(
    self, text: jax.Array, visual: jax.Array, *, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """Returns y, float[B, T, D], and weights float32[B, T, P], head mean."""
    _, seen = self.attention(visual)
    attended = transformer.attend(
      self.attention.query(text),
      seen,
      None,
      None,
      self.config.text.num_heads,
      self.dropout.active(train),
    )
    return self.norm(self.attention.out(attended.values)), attended.weights


class HVFormer(nn.Module):
  """Maps a `Batch` to relation logits."""

  config: HVFormerConfig

  def setup(self):
    """Declares both streams, looks, experts, router and head."""
    config, dtype = self.config, jnp.dtype(self.config.dtype)
    width, count = config.text.hidden_dim, len(config.depths)
    self.text = TextStream(config.text, dtype)
    self.visual = VisualStream(config.vision, config.rules, dtype)
    self.look = [Look(config) for _ in config.depths]
    self.experts_in = self.param(
      "experts_in", init_experts, (count, 2 * width, width)
    )
    self.experts_out = self.param(
      "experts_out", init_experts, (count, width, width)
    )
    self.router = transformer.Linear(1 + count, dtype)
    self.relation_head = transformer.Linear(config.num_relations, jnp.float32)

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; `capture` adds states and the weights of the looks.

    `text_attention` is then float32[looks, B, T, P].
    """
    markers = marker_positions(batch)
    text, captured = self.text.read(
      batch,
      markers,
      train=train,
      capture=capture,
      padding_bias=self.config.rules.padding_bias,
    )
    if capture:
      # Of all tokens, whose looks are the maps; otherwise of the markers.
      text = captured["text_hidden"][-1]
    states = self._see(batch)
    out, weights = self._aggregate(text, states, train)
    pair = read_rows(out, markers) if capture else out
    pair = pair.reshape(len(pair), -1).astype(jnp.float32)
    logits = self.relation_head(pair)
    if not capture:
      return ModelOutput(logits)
    return ModelOutput(
      logits,
      text_hidden=jnp.concatenate([captured["text_hidden"], out[None]]),
      text_attention=jnp.stack(weights),
      visual_hidden=jnp.stack(states),
      visual_mask=jnp.ones(states[0].shape[:2], bool),
    )

  def _see(self, batch: Batch) -> list[jax.Array]:
    """Returns the vision stream's states at all depths, without gradient."""
    config = self.config
    # Stopping at the states spares the backward pass the vision stream.
    states = self.visual.read(batch, config.use_image, config.use_objects)
    return jax.lax.stop_gradient([states[i].hidden for i in config.depths])

  def _aggregate(
    self, text: jax.Array, states: list[jax.Array], train: bool
  ) -> tuple[jax.Array, list[jax.Array]]:
    """Mixes float[B, T, D] with its looks; returns their weights."""
    seen = [
      look(text, state, train=train)
      for look, state in zip(self.look, states, strict=True)
    ]
    looks = [y for y, _ in seen]
    shares = self.router(jnp.concatenate([text, *looks], axis=-1))
    # Each token weights the depths for itself.
    shares = jax.nn.softmax(shares.astype(jnp.float32)).astype(text.dtype)
    out = shares[..., :1] * text
    for i, y in enumerate(looks):
      out += shares[..., i + 1, None] * self._expert(i, text, y)
    return out, [weights for _, weights in seen]

  def _expert(self, i: int, text: jax.Array, look: jax.Array) -> jax.Array:
    both = jnp.concatenate([text, look], axis=-1)
    hidden = matmul.linear(_rows(both), self.experts_in[i], None)
    out = matmul.linear(ACTIVATIONS["gelu"](hidden), self.experts_out[i], None)
    return out.reshape(text.shape) + text


def _rows(x: jax.Array) -> jax.Array:
  return x.reshape(-1, x.shape[-1])
