"""One layer of the text stream: BERT's, open to what the picture lends.

Devlin et al. 2019 (arXiv:1810.04805); post-LayerNorm, as released.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.models.config import TextConfig
from ifa_jax.models.layers import transformer
from ifa_jax.models.layers.packing import Packing
from ifa_jax.models.layers.transformer import Attended, Dropout, KeyValue


class TextLayer(nn.Module):
  """One layer of BERT, its attention open to lent keys and values.

  Attributes:
    config: a `TextConfig`, or one of another stream with the same fields.
    dtype: of the computation.
  """

  config: TextConfig | Any
  dtype: jnp.dtype

  def setup(self):
    """Declares the layers under the names that weights are loaded by."""
    config = self.config
    self.attention = transformer.Projections(config.hidden_dim, self.dtype)
    self.attention_norm = transformer.layer_norm(
      config.norm_epsilon, self.dtype
    )
    self.mlp_in = transformer.Linear(config.mlp_dim, self.dtype)
    self.mlp_out = transformer.Linear(config.hidden_dim, self.dtype)
    self.mlp_norm = transformer.layer_norm(config.norm_epsilon, self.dtype)
    self.dropout = Dropout(config.dropout_rate)
    self.attention_dropout = Dropout(config.attention_dropout_rate)

  def project(
    self, hidden: jax.Array, packing: Packing | None = None
  ) -> tuple[jax.Array, KeyValue]:
    """Projects to queries, and to keys and values to lend, float[B, T, D] each.

    Args:
      hidden: float[B, T, D], or float[N, D] packed.
      packing: of a batch that is packed.
    """
    query, own = self.attention(hidden)
    if packing is None:
      return query, own
    return packing.unpack(query), KeyValue(*map(packing.unpack, own))

  def attend(
    self,
    query: jax.Array,
    own: KeyValue,
    lent: KeyValue | None,
    key_bias: jax.Array,
    *,
    train: bool,
  ) -> Attended:
    """See `transformer.attend`; Q is T, and lent are the visual tokens."""
    return transformer.attend(
      query,
      own,
      lent,
      key_bias,
      self.config.num_heads,
      lambda weights: self.attention_dropout(weights, deterministic=not train),
    )

  def update(
    self,
    hidden: jax.Array,
    attended: jax.Array,
    packing: Packing | None = None,
    *,
    train: bool,
  ) -> jax.Array:
    """Adds attention's values and the MLP; returns what `hidden` is then.

    Args:
      hidden: float[B, T, D], or float[N, D] packed.
      attended: float[B, T, D].
      packing: of a batch that is packed.
      train: whether to drop out.
    """
    hidden = self.add_attention(hidden, attended, packing, train=train)
    return self.add_mlp(hidden, train=train)

  def add_attention(
    self,
    hidden: jax.Array,
    attended: jax.Array,
    packing: Packing | None = None,
    *,
    train: bool,
  ) -> jax.Array:
    """Does the first half of `update`: attention's values, and a norm."""
    if packing is not None:
      attended = packing.pack(attended)
    attended = self.attention.out(attended)
    return self.attention_norm(
      hidden + self.dropout(attended, deterministic=not train)
    )

  def add_mlp(
    self, hidden: jax.Array, extra: jax.Array | None = None, *, train: bool
  ) -> jax.Array:
    """Does the second half of `update`: the MLP, and a norm.

    Args:
      hidden: float[B, T, D], or float[N, D] packed.
      extra: float[B, T, F], added before the activation.
      train: whether to drop out.
    """
    inner = self.mlp_in(hidden)
    if extra is not None:
      inner += extra
    mlp = self.mlp_out(transformer.ACTIVATIONS[self.config.activation](inner))
    return self.mlp_norm(hidden + self.dropout(mlp, deterministic=not train))

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


def read_texts(
  hidden: jax.Array, positions: jax.Array, packing: Packing | None
) -> jax.Array:
  """Reads texts as a stream has them at int32[B, R]: float[B, R, D]."""
  if packing is None:
    return read_rows(hidden, positions)
  return packing.read(hidden, positions)
