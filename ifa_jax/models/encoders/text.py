"""The text stream: BERT, whose layers may also read what the picture lends.

Devlin et al. 2019 (arXiv:1810.04805); post-LayerNorm, as released.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.config import PADDING_BIAS, TextConfig
from ifa_jax.models.encoders.text_layer import TextLayer, read_texts
from ifa_jax.models.layers import scan, transformer
from ifa_jax.models.layers.packing import Packing, packing_of
from ifa_jax.models.layers.transformer import Dropout


class TextEmbeddings(nn.Module):
  """Words, positions and token types, summed, normalised, dropped out."""

  config: TextConfig
  dtype: jnp.dtype

  def setup(self):
    """Declares three tables and a norm."""
    config = self.config
    self.word = self._table(config.vocab_size)
    self.position = self._table(config.max_len)
    self.token_type = self._table(config.num_token_types)
    self.norm = transformer.layer_norm(config.norm_epsilon, self.dtype)
    self.dropout = Dropout(config.dropout_rate)

  def _table(self, rows: int) -> nn.Embed:
    return nn.Embed(
      rows,
      self.config.hidden_dim,
      dtype=self.dtype,
      embedding_init=transformer.init_kernel,
    )

  def __call__(
    self, batch: Batch, packing: Packing | None = None, *, train: bool
  ) -> jax.Array:
    """Returns a batch's tokens, float[B, T, D], or float[N, D] packed."""
    words, types = batch.input_ids, batch.token_type_ids
    if packing is None:
      positions = jnp.arange(words.shape[1])[None]
    else:
      positions = packing.positions()
      words, types = packing.ids(words), packing.ids(types)
    embedded = (
      self.word(words) + self.position(positions) + self.token_type(types)
    )
    return self.dropout(self.norm(embedded), deterministic=not train)


class TextRead(NamedTuple):
  """What the text stream makes of a batch by itself.

  Attributes:
    hidden: float[B, T, D] each: the embeddings, then every layer.
    weights: float32[B, T, T] each, one a layer, mean over heads.
  """

  hidden: list[jax.Array]
  weights: list[jax.Array]

  def captured(self) -> dict[str, jax.Array]:
    """Returns the fields of `ModelOutput` that these are."""
    return {
      "text_hidden": jnp.stack(self.hidden),
      "text_attention": jnp.stack(self.weights),
    }


def run_layers(
  layers: Sequence[TextLayer],
  hidden: jax.Array,
  key_bias: jax.Array,
  packing: Packing | None = None,
  *,
  train: bool,
) -> TextRead:
  """Runs layers on texts that read nothing but themselves.

  Args:
    layers: in order.
    hidden: what goes into the first, float[B, T, D], or float[N, D] packed.
    key_bias: float32[B, T], added to the attention logits of each key.
    packing: of a batch that is packed.
    train: whether to drop out.
  """
  states, weights = [hidden], []
  for layer in layers:
    query, own = layer.project(states[-1], packing)
    attended = layer.attend(query, own, None, key_bias, train=train)
    states.append(
      layer.update(states[-1], attended.values, packing, train=train)
    )
    weights.append(attended.weights)
  return TextRead(states, weights)


class TextStream(nn.Module):
  """BERT: called on a batch, or run layer by layer beside another stream.

  Attributes:
    remat: see `layers.scan.scan_layers`; of layers that are stacked.
  """

  config: TextConfig
  dtype: jnp.dtype
  remat: bool = False

  def setup(self):
    """Declares `embed` and `layer_0` ... `layer_{n-1}`."""
    self.embed = TextEmbeddings(self.config, self.dtype)
    self.layer = [
      TextLayer(self.config, self.dtype) for _ in range(self.config.num_layers)
    ]

  def __call__(
    self,
    batch: Batch,
    *,
    train: bool,
    padding_bias: float = PADDING_BIAS,
    positions: jax.Array | None = None,
  ) -> TextRead:
    """Runs all layers on the text alone.

    Args:
      batch: whose text.
      train: whether to drop out.
      padding_bias: added to the attention logits of padding.
      positions: int32[B, R], where alone the last layer is wanted: what is read
        then is its states float[B, R, D]. None wants all layers everywhere,
        which stacked layers do not give.
    """
    key_bias = transformer.mask_bias(batch.attention_mask, padding_bias)
    if positions is None:
      hidden = self.embed(batch, train=train)
      return self.run(hidden, key_bias, 0, self.config.num_layers, train=train)
    packing = packing_of(batch)
    hidden = self.embed(batch, packing, train=train)
    hidden = self._run_to_last(hidden, key_bias, packing, train)
    _, own = self.layer[-1].project(hidden, packing)
    hidden = read_texts(hidden, positions, packing)
    hidden = self.layer[-1].run(hidden, own, None, key_bias, train=train)
    return TextRead([hidden], [])

  def _run_to_last(self, hidden, key_bias, packing, train) -> jax.Array:
    """Runs all layers but the last; returns `hidden` behind them."""
    run = functools.partial(
      run_layers, key_bias=key_bias, packing=packing, train=train
    )
    stacked = scan.stacked_layers(self)
    if stacked is None:
      return run(self.layer[:-1], hidden).hidden[-1]

    def run_layer(hidden, params, rng):
      unbound = TextLayer(self.config, self.dtype, parent=None)
      layer = scan.bind_layer(unbound, params, rng)
      return run([layer], hidden).hidden[-1]  # pyright: ignore[reportArgumentType]

    rng = self.make_rng("dropout") if train else None
    return scan.scan_layers(run_layer, hidden, stacked, rng, self.remat)

  def run(
    self,
    hidden: jax.Array,
    key_bias: jax.Array,
    start: int,
    stop: int,
    *,
    train: bool,
  ) -> TextRead:
    """Runs layers [start, stop) on float[B, T, D], which `hidden` starts with.

    Args:
      hidden: what goes into layer `start`.
      key_bias: float32[B, T], added to the attention logits of each key.
      start: the first layer, from 0.
      stop: the layer behind the last.
      train: whether to drop out.
    """
    return run_layers(self.layer[start:stop], hidden, key_bias, train=train)
