"""The text stream: BERT, whose layers may also read lent visual tokens.

Devlin et al. 2019 (arXiv:1810.04805).
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.config import TextConfig
from ifa_jax.models.encoders.text_layer import TextLayer, read_rows
from ifa_jax.models.exchange import PADDING_BIAS
from ifa_jax.models.layers import scan, transformer
from ifa_jax.models.layers.packing import Packing, packing_of
from ifa_jax.models.layers.transformer import Dropout


class TextEmbeddings(nn.Module):
  """Sum of word, position and token type embeddings, with norm and dropout."""

  config: TextConfig
  dtype: jnp.dtype

  def setup(self):
    """Declares three tables and a norm."""
    config = self.config
    # Rows are read, and their gradients added up, in float32.
    table = functools.partial(
      nn.Embed,
      features=config.hidden_dim,
      embedding_init=transformer.init_kernel,
    )
    self.word = table(config.vocab_size)
    self.position = table(config.max_len)
    self.token_type = table(config.num_token_types)
    self.norm = transformer.layer_norm(config.norm_epsilon, self.dtype)
    self.dropout = Dropout(config.dropout_rate)

  def __call__(
    self, batch: Batch, packing: Packing | None = None, *, train: bool
  ) -> jax.Array:
    """Returns float[B, T, D], or float[N, D] if packed."""
    words, types = batch.input_ids, batch.token_type_ids
    if packing is None:
      positions = self.position.embedding[: words.shape[1]]
    else:
      positions = self.position(packing.positions())
      words, types = packing.ids(words), packing.ids(types)
    embedded = self.word(words) + positions + self.token_type(types)
    return self.dropout(self.norm(embedded), deterministic=not train)


class TextRead(NamedTuple):
  """States and attention of a text that reads only itself.

  Attributes:
    hidden: float[B, T, D] each: the embeddings, then every layer.
    weights: float32[B, T, T] for each layer, mean over heads.
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
  """Runs layers on texts, or regions, that read only themselves.

  Args:
    layers: in order.
    hidden: input of the first, float[B, T, D], or float[N, D] if packed.
    key_bias: float32[B, T], added to the attention logits of each key.
    packing: of a packed batch.
    train: whether to apply dropout.
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
  """BERT. Other streams may also run its layers one by one.

  Attributes:
    remat: see `layers.scan.scan_layers`; applies to stacked layers.
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
    self, batch: Batch, *, train: bool, padding_bias: float = PADDING_BIAS
  ) -> TextRead:
    """Runs all layers at all positions; they must not be stacked.

    Args:
      batch: with the text.
      train: whether to apply dropout.
      padding_bias: added to the attention logits of padding.
    """
    key_bias = transformer.mask_bias(batch.attention_mask, padding_bias)
    hidden = self.embed(batch, train=train)
    return run_layers(self.layer, hidden, key_bias, train=train)

  def read(
    self,
    batch: Batch,
    positions: jax.Array,
    *,
    train: bool,
    capture: bool = False,
    padding_bias: float = PADDING_BIAS,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the last states at int32[B, R], float[B, R, D], and captures.

    Without `capture` the last layer runs at these positions only, and layers
    may be stacked or the batch packed.
    """
    if capture:
      whole = self(batch, train=train, padding_bias=padding_bias)
      return read_rows(whole.hidden[-1], positions), whole.captured()
    # Packed texts are unpacked for attention, so the bias is that of [B, T].
    packing = packing_of(batch)
    key_bias = transformer.mask_bias(batch.attention_mask, padding_bias)
    hidden = self.embed(batch, packing, train=train)
    hidden = self._run_to_last(hidden, key_bias, packing, train)
    hidden = self.layer[-1].run_at(
      positions, hidden, None, key_bias, packing, train=train
    )
    return hidden, {}

  def _run_to_last(self, hidden, key_bias, packing, train) -> jax.Array:
    """Runs all layers but the last."""
    run = functools.partial(
      run_layers, key_bias=key_bias, packing=packing, train=train
    )
    stacked = scan.stacked_layers(self)
    if stacked is None:
      return run(self.layer[:-1], hidden).hidden[-1]

    def run_layer(hidden, params, rng):
      # Without a parent Flax does not register the layer as a child of this
      # stream, which has no parameters of its name.
      unbound = TextLayer(self.config, self.dtype, parent=None)
      layer = scan.bind_layer(unbound, params, rng)
      return run([layer], hidden).hidden[-1]  # pyright: ignore[reportArgumentType]

    rng = self.make_rng("dropout") if train else None
    return scan.scan_layers(run_layer, hidden, stacked, rng, self.remat)
