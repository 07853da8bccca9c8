"""The visual stream: ViT, whose layers may also read what the text lends.

Dosovitskiy et al. 2021 (arXiv:2010.11929), and the form of it that CLIP trains
(Radford et al. 2021, arXiv:2103.00020); pre-LayerNorm, no dropout.
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.config import VisionConfig
from ifa_jax.models.layers import transformer
from ifa_jax.models.layers.transformer import Attended, KeyValue


class TokenRules(Protocol):
  """The rules of a system that concern visual tokens, see `config.Exchange`."""

  @property
  def image_tokens(self) -> bool: ...  # noqa: D102

  @property
  def class_position(self) -> bool: ...  # noqa: D102

  @property
  def absent_masked(self) -> bool: ...  # noqa: D102


class VisualTokens(NamedTuple):
  """What the visual stream starts from.

  Attributes:
    hidden: float[B, P, D]: class token, picture, grounded, detected crops.
    mask: bool[B, P], True = something is there to look at.
  """

  hidden: jax.Array
  mask: jax.Array


def cut_patches(pixels: jax.Array, patch_size: int) -> jax.Array:
  """Cuts [B, K, size, size, 3] into [B, K * (size / patch)^2, 3 patch^2].

  Picture by picture, row by row; within a patch: row, column, channel.
  """
  batch, count, size = pixels.shape[:3]
  side = size // patch_size
  cut = pixels.reshape(batch, count, side, patch_size, side, patch_size, 3)
  return cut.swapaxes(3, 4).reshape(batch, count * side**2, -1)


def normalise(
  pixels: jax.Array, mask: jax.Array, config: VisionConfig
) -> jax.Array:
  """Returns normalised float pixels, exactly 0 where the mask is False.

  Args:
    pixels: uint8 or normalised float [B, K, size, size, 3].
    mask: bool[B, K], True = real.
    config: whose mean and standard deviation uint8 pixels are normalised by.
  """
  if jnp.issubdtype(pixels.dtype, jnp.integer):
    mean = jnp.asarray(config.image_mean, jnp.float32)
    std = jnp.asarray(config.image_std, jnp.float32)
    pixels = (pixels.astype(jnp.float32) / 255.0 - mean) / std
  return jnp.where(mask[:, :, None, None, None], pixels, 0.0)


class VisualEmbeddings(nn.Module):
  """Class token, picture and crops as one sequence of patches.

  One patch projection serves all three kinds; each has its own position table.
  """

  config: VisionConfig
  rules: TokenRules
  dtype: jnp.dtype

  def setup(self):
    """Declares the projection, the class token, three tables, and the norm."""
    config = self.config
    dim, start = config.hidden_dim, transformer.init_kernel
    crops = nn.initializers.normal(config.crop_position_stddev)
    side = config.image_size // config.patch_size
    table = lambda name, init, rows: self.param(name, init, (rows, dim))  # noqa: E731
    self.patch = transformer.Linear(dim, self.dtype, use_bias=config.patch_bias)
    self.class_token = self.param("class_token", start, (dim,))
    self.position = table("position", start, 1 + side**2)
    self.grounded_position = table(
      "grounded_position", crops, 16 * config.num_crops
    )
    self.detected_position = table(
      "detected_position", crops, 4 * config.num_crops
    )
    if config.pre_norm:
      self.norm = transformer.layer_norm(config.norm_epsilon, self.dtype)

  def __call__(
    self, batch: Batch, use_image: bool, use_objects: bool
  ) -> VisualTokens:
    """Returns the tokens of a batch, P of them."""
    rows = len(batch.input_ids)
    class_token = jnp.tile(self.class_token, (rows, 1, 1))
    if self.rules.class_position:
      class_token += self.position[0]
    parts = [(class_token.astype(self.dtype), jnp.ones((rows, 1), bool))]
    if use_image and self.rules.image_tokens and batch.image is not None:
      parts.append(
        self._patches(
          batch.image[:, None], batch.image_mask[:, None], self.position[1:]
        )
      )
    if use_objects:
      parts += self._crops(batch, rows)
    hidden, mask = (
      jnp.concatenate(part, axis=1) for part in zip(*parts, strict=True)
    )
    return VisualTokens(
      self.norm(hidden) if self.config.pre_norm else hidden, mask
    )

  def _crops(
    self, batch: Batch, rows: int
  ) -> list[tuple[jax.Array, jax.Array]]:
    """Returns hidden states and mask of each kind of crop that is there."""
    config = self.config
    parts = []
    for pixels, mask, size, table in (
      (
        batch.grounded,
        batch.grounded_mask,
        config.grounded_size,
        self.grounded_position,
      ),
      (
        batch.detected,
        batch.detected_mask,
        config.detected_size,
        self.detected_position,
      ),
    ):
      if pixels is None and not self.rules.absent_masked:
        # Absent crops are tokens here, so a batch without any has them all.
        pixels = jnp.zeros((rows, config.num_crops, size, size, 3))
        mask = jnp.zeros((rows, config.num_crops), bool)
      if pixels is not None:
        parts.append(self._patches(pixels, mask, table))
    return parts

  def _patches(
    self, pixels: jax.Array, mask: jax.Array, table: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Embeds [B, K, size, size, 3]; returns float[B, n, D], bool[B, n]."""
    pixels = normalise(pixels, mask, self.config).astype(self.dtype)
    hidden = self.patch(cut_patches(pixels, self.config.patch_size))
    per_picture = hidden.shape[1] // pixels.shape[1]
    positions = table[: hidden.shape[1]].astype(self.dtype)
    return hidden + positions, jnp.repeat(mask, per_picture, axis=1)


class VisualLayer(nn.Module):
  """One layer of ViT, its attention open to lent keys and values."""

  config: VisionConfig
  dtype: jnp.dtype

  def setup(self):
    """Declares the layers under the names that weights are loaded by."""
    config = self.config
    self.attention_norm = transformer.layer_norm(
      config.norm_epsilon, self.dtype
    )
    self.attention = transformer.Projections(config.hidden_dim, self.dtype)
    self.mlp_norm = transformer.layer_norm(config.norm_epsilon, self.dtype)
    self.mlp_in = transformer.Linear(config.mlp_dim, self.dtype)
    self.mlp_out = transformer.Linear(config.hidden_dim, self.dtype)

  def project(self, hidden: jax.Array) -> tuple[jax.Array, KeyValue]:
    """Projects float[B, P, D] to queries, and to keys and values to lend."""
    return self.attention(self.attention_norm(hidden))

  def attend(
    self,
    query: jax.Array,
    own: KeyValue,
    lent: KeyValue | None,
    key_bias: jax.Array,
  ) -> Attended:
    """See `transformer.attend`; Q is P, and lent are the text tokens."""
    return transformer.attend(query, own, lent, key_bias, self.config.num_heads)

  def update(self, hidden: jax.Array, attended: jax.Array) -> jax.Array:
    """Adds attention's values and the MLP: float[B, P, D] twice to the same."""
    return self.add_mlp(self.add_attention(hidden, attended))

  def add_attention(self, hidden: jax.Array, attended: jax.Array) -> jax.Array:
    """Adds attention's values: float[B, P, D] twice to the same."""
    return hidden + self.attention.out(attended)

  def add_mlp(self, hidden: jax.Array) -> jax.Array:
    """Adds the MLP of float[B, P, D]."""
    activation = transformer.ACTIVATIONS[self.config.activation]
    return hidden + self.mlp_out(activation(self.mlp_in(self.mlp_norm(hidden))))


class VisualStream(nn.Module):
  """ViT's embeddings and layers; `IFAformer` runs them layer by layer."""

  config: VisionConfig
  rules: TokenRules
  dtype: jnp.dtype

  def setup(self):
    """Declares `embed` and `layer_0` ... `layer_{n-1}`."""
    self.embed = VisualEmbeddings(self.config, self.rules, self.dtype)
    self.layer = [
      VisualLayer(self.config, self.dtype)
      for _ in range(self.config.num_layers)
    ]
