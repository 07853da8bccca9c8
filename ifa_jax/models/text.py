"""The text stream: BERT, whose layers may also read what the picture lends.

Devlin et al. 2019 (arXiv:1810.04805); post-LayerNorm, as released.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models import attention, stacking
from ifa_jax.models.attention import Attended, KeyValue
from ifa_jax.models.config import PADDING_BIAS, TextConfig
from ifa_jax.models.dropout import Dropout


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
    self.norm = attention.layer_norm(config.norm_epsilon, self.dtype)
    self.dropout = Dropout(config.dropout_rate)

  def _table(self, rows: int) -> nn.Embed:
    return nn.Embed(
      rows,
      self.config.hidden_dim,
      dtype=self.dtype,
      embedding_init=attention.init_kernel,
    )

  def __call__(
    self, input_ids: jax.Array, token_type_ids: jax.Array, *, train: bool
  ) -> jax.Array:
    """Maps int32[B, T] twice to float[B, T, D]."""
    positions = jnp.arange(input_ids.shape[1])[None]
    embedded = (
      self.word(input_ids)
      + self.position(positions)
      + self.token_type(token_type_ids)
    )
    return self.dropout(self.norm(embedded), deterministic=not train)


class TextLayer(nn.Module):
  """One layer of BERT, its attention open to lent keys and values."""

  config: TextConfig
  dtype: jnp.dtype

  def setup(self):
    """Declares the layers under the names that weights are loaded by."""
    config = self.config
    self.attention = attention.Projections(config.hidden_dim, self.dtype)
    self.attention_norm = attention.layer_norm(config.norm_epsilon, self.dtype)
    self.mlp_in = attention.dense(config.mlp_dim, self.dtype)
    self.mlp_out = attention.dense(config.hidden_dim, self.dtype)
    self.mlp_norm = attention.layer_norm(config.norm_epsilon, self.dtype)
    self.dropout = Dropout(config.dropout_rate)
    self.attention_dropout = Dropout(config.attention_dropout_rate)

  def project(self, hidden: jax.Array) -> tuple[jax.Array, KeyValue]:
    """Projects float[B, T, D] to queries, and to keys and values to lend."""
    return self.attention(hidden)

  def attend(
    self,
    query: jax.Array,
    own: KeyValue,
    lent: KeyValue | None,
    key_bias: jax.Array,
    *,
    train: bool,
  ) -> Attended:
    """See `attention.attend`; Q is T, and lent are the visual tokens."""
    return attention.attend(
      query,
      own,
      lent,
      key_bias,
      self.config.num_heads,
      lambda weights: self.attention_dropout(weights, deterministic=not train),
    )

  def update(
    self, hidden: jax.Array, attended: jax.Array, *, train: bool
  ) -> jax.Array:
    """Adds attention's values and the MLP: float[B, T, D] twice to the same."""
    drop = lambda x: self.dropout(x, deterministic=not train)  # noqa: E731
    hidden = self.attention_norm(hidden + drop(self.attention.out(attended)))
    activation = attention.ACTIVATIONS[self.config.activation]
    mlp = self.mlp_out(activation(self.mlp_in(hidden)))
    return self.mlp_norm(hidden + drop(mlp))

  def run(
    self,
    hidden: jax.Array,
    own: KeyValue,
    lent: KeyValue | None,
    key_bias: jax.Array,
    *,
    train: bool,
  ) -> jax.Array:
    """Maps float[B, R, D] that reads `own` and `lent` keys to the same.

    The whole layer at some positions; `own` has keys and values of all.
    """
    query = self.attention.query(hidden)
    attended = self.attend(query, own, lent, key_bias, train=train)
    return self.update(hidden, attended.values, train=train)


def read_rows(hidden: jax.Array, positions: jax.Array) -> jax.Array:
  """Reads float[B, T, D] at int32[B, R]: float[B, R, D]."""
  return jnp.take_along_axis(hidden, positions[:, :, None], axis=1)


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
  *,
  train: bool,
) -> TextRead:
  """Runs layers on float[B, T, D] that reads nothing but itself.

  Args:
    layers: in order.
    hidden: what goes into the first.
    key_bias: float32[B, T], added to the attention logits of each key.
    train: whether to drop out.
  """
  states, weights = [hidden], []
  for layer in layers:
    query, own = layer.project(states[-1])
    attended = layer.attend(query, own, None, key_bias, train=train)
    states.append(layer.update(states[-1], attended.values, train=train))
    weights.append(attended.weights)
  return TextRead(states, weights)


class TextStream(nn.Module):
  """BERT: called on a batch, or run layer by layer beside another stream.

  Attributes:
    remat: see `stacking.scan_layers`; of layers that are stacked.
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
    hidden = self.embed(batch.input_ids, batch.token_type_ids, train=train)
    key_bias = attention.mask_bias(batch.attention_mask, padding_bias)
    if positions is None:
      return self.run(hidden, key_bias, 0, self.config.num_layers, train=train)
    hidden = self._run_to_last(hidden, key_bias, train)
    _, own = self.layer[-1].project(hidden)
    hidden = read_rows(hidden, positions)
    hidden = self.layer[-1].run(hidden, own, None, key_bias, train=train)
    return TextRead([hidden], [])

  def _run_to_last(self, hidden, key_bias, train) -> jax.Array:
    """Runs all layers but the last on float[B, T, D]."""
    stacked = stacking.stacked_layers(self)
    if stacked is None:
      layers = self.layer[:-1]
      return run_layers(layers, hidden, key_bias, train=train).hidden[-1]

    def run_layer(hidden, params, rng):
      unbound = TextLayer(self.config, self.dtype, parent=None)
      layer = stacking.bind_layer(unbound, params, rng)
      return run_layers([layer], hidden, key_bias, train=train).hidden[-1]

    rng = self.make_rng("dropout") if train else None
    return stacking.scan_layers(run_layer, hidden, stacked, rng, self.remat)

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
