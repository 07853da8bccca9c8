"""One layer of BERT whose attention may also read lent keys and values.

Devlin et al. 2019 (arXiv:1810.04805); post-LayerNorm, as released.
"""

import jax
import jax.numpy as jnp

from ifa_jax.models.layers import transformer
from ifa_jax.models.layers.packing import Packing
from ifa_jax.models.layers.transformer import Attended, Dropout, KeyValue


class TextLayer(transformer.Layer):
  """One layer of BERT, of the text stream or of another with dropout rates."""

  def setup(self):
    """Declares the layer's submodules and both dropouts."""
    super().setup()
    self.dropout = Dropout(self.config.dropout_rate)
    self.attention_dropout = Dropout(
      self.attention_shape.attention_dropout_rate
    )

  def project(
    self, hidden: jax.Array, packing: Packing | None = None
  ) -> tuple[jax.Array, KeyValue]:
    """Projects to queries, and to keys and values, float[B, T, D] each.

    Args:
      hidden: float[B, T, D], or float[N, D] if packed.
      packing: of a packed batch.
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
    key_bias: jax.Array | None,
    *,
    train: bool,
  ) -> Attended:
    """See `transformer.attend`; Q is T, and P tokens are lent."""
    drop = self.attention_dropout.active(train)
    heads = self.attention_shape.num_heads
    return transformer.attend(query, own, lent, key_bias, heads, drop)

  def update(
    self,
    hidden: jax.Array,
    attended: jax.Array,
    packing: Packing | None = None,
    *,
    train: bool,
  ) -> jax.Array:
    """Adds attention and MLP to `hidden`, with a norm after each.

    Args:
      hidden: float[B, T, D], or float[N, D] if packed.
      attended: float[B, T, D].
      packing: of a packed batch.
      train: whether to apply dropout.
    """
    if packing is not None:
      attended = packing.pack(attended)
    hidden = self.add_attention(hidden, attended, train=train)
    return self.add_mlp(hidden, train=train)

  def add_attention(
    self, hidden: jax.Array, attended: jax.Array, *, train: bool
  ) -> jax.Array:
    """Adds attention, float[..., D] as `hidden`; the first half of `update`."""
    attended = self.attention.out(attended)
    return self.attention_norm(
      hidden + self.dropout(attended, deterministic=not train)
    )

  def add_mlp(
    self, hidden: jax.Array, extra: jax.Array | None = None, *, train: bool
  ) -> jax.Array:
    """Adds the MLP, see `transformer.Layer.mlp`; the second half."""
    added = self.mlp(hidden, extra)
    return self.mlp_norm(hidden + self.dropout(added, deterministic=not train))

  def run_at(
    self,
    positions: jax.Array,
    hidden: jax.Array,
    lent: KeyValue | None,
    key_bias: jax.Array,
    packing: Packing | None,
    *,
    train: bool,
  ) -> jax.Array:
    """Runs the layer at positions int32[B, R] only: float[B, R, D].

    Keys and values are those of all tokens; queries and the MLP, most of the
    work, are computed only for the result.
    """
    # The queries of all tokens are unused, so compiled code does not have them.
    _, own = self.project(hidden, packing)
    if packing is None:
      hidden = read_rows(hidden, positions)
    else:
      hidden = packing.read(hidden, positions)
    query = self.attention.query(hidden)
    attended = self.attend(query, own, lent, key_bias, train=train)
    return self.update(hidden, attended.values, train=train)


def read_rows(hidden: jax.Array, positions: jax.Array) -> jax.Array:
  """Reads float[B, T, D] at int32[B, R]: float[B, R, D]."""
  return jnp.take_along_axis(hidden, positions[:, :, None], axis=1)
