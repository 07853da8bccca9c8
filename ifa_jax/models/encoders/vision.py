"""The visual stream: ViT, whose layers may also read lent text tokens.

Dosovitskiy et al. 2021 (arXiv:2010.11929) and CLIP's variant of it (Radford et
al. 2021, arXiv:2103.00020); pre-LayerNorm, no dropout.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.config import VisionConfig
from ifa_jax.models.exchange import PADDING_BIAS, StreamRules
from ifa_jax.models.layers import transformer
from ifa_jax.models.layers.transformer import Attended, KeyValue


class VisualTokens(NamedTuple):
  """The input of a visual stream.

  Attributes:
    hidden: float[B, P, D]: class token, picture, grounded and detected crops;
      of regions: whole picture, regions.
    mask: bool[B, P], True = present.
  """

  hidden: jax.Array
  mask: jax.Array


def cut_patches(pixels: jax.Array, patch_size: int) -> jax.Array:
  """Cuts [B, K, size, size, 3] into [B, K * (size / patch)^2, 3 patch^2].

  Patches are ordered by picture, row and column; values in a patch by row,
  column and channel.
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
  # After normalisation, so that absent pictures are 0 and not black, as in the
  # released code.
  return jnp.where(mask[:, :, None, None, None], pixels, 0.0)


class VisualEmbeddings(nn.Module):
  """Embeds class token, picture and crops as one sequence of patches.

  Pictures and both kinds of crops share a patch projection; each kind has its
  own position table.
  """

  config: VisionConfig
  rules: StreamRules
  dtype: jnp.dtype

  def setup(self):
    """Declares the projection, the class token, three tables, and the norm."""
    config = self.config
    dim, init = config.hidden_dim, transformer.init_kernel
    init_crops = nn.initializers.normal(config.crop_position_stddev)
    side = config.image_size // config.patch_size
    self.patch = transformer.Linear(dim, self.dtype, use_bias=config.patch_bias)
    self.class_token = self.param("class_token", init, (dim,))
    self.position = self.param("position", init, (1 + side**2, dim))
    # Orbax saves no empty array.
    if config.num_crops:
      # A grounded crop has 4 x 4 patches, a detected one 2 x 2.
      self.grounded_position = self.param(
        "grounded_position", init_crops, (16 * config.num_crops, dim)
      )
      self.detected_position = self.param(
        "detected_position", init_crops, (4 * config.num_crops, dim)
      )
    if config.pre_norm:
      self.norm = transformer.layer_norm(config.norm_epsilon, self.dtype)

  def __call__(
    self, batch: Batch, use_image: bool, use_objects: bool
  ) -> VisualTokens:
    """Returns the P tokens of a batch."""
    rows = len(batch.input_ids)
    class_token = jnp.tile(self.class_token, (rows, 1, 1))
    # modeling_IFA.py adds positions to crops only.
    if self.rules.class_position:
      class_token += self.position[0]
    parts = [(class_token, jnp.ones((rows, 1), bool))]
    if use_image and self.rules.image_tokens and batch.image is not None:
      parts.append(
        self._patches(
          batch.image[:, None], batch.image_mask[:, None], self.position[1:]
        )
      )
    config = self.config
    if use_objects and config.num_crops:
      parts += self._crops(
        batch, "grounded", config.grounded_size, self.grounded_position
      )
      parts += self._crops(
        batch, "detected", config.detected_size, self.detected_position
      )
    hidden, mask = (
      jnp.concatenate(part, axis=1) for part in zip(*parts, strict=True)
    )
    if config.pre_norm:
      hidden = self.norm(hidden)
    return VisualTokens(hidden.astype(self.dtype), mask)

  def _crops(
    self, batch: Batch, kind: str, size: int, table: jax.Array
  ) -> list[tuple[jax.Array, jax.Array]]:
    """Returns states and mask of a kind of crop; none if the batch has none."""
    pixels, mask = getattr(batch, kind), getattr(batch, f"{kind}_mask")
    if pixels is None and not self.rules.absent_masked:
      # Here absent crops are tokens too, also in a batch without any crop.
      slots = (len(batch.input_ids), self.config.num_crops)
      pixels, mask = jnp.zeros((*slots, size, size, 3)), jnp.zeros(slots, bool)
    return [] if pixels is None else [self._patches(pixels, mask, table)]

  def _patches(
    self, pixels: jax.Array, mask: jax.Array, table: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Embeds [B, K, size, size, 3]; returns float32[B, n, D], bool[B, n]."""
    pixels = normalise(pixels, mask, self.config).astype(self.dtype)
    hidden = self.patch(cut_patches(pixels, self.config.patch_size))
    per_picture = hidden.shape[1] // pixels.shape[1]
    # A batch may have fewer crops than slots: the first positions are used. The
    # sum is float32, and so is that of the table's gradient over the rows.
    return hidden + table[: hidden.shape[1]], jnp.repeat(
      mask, per_picture, axis=1
    )


class VisualLayer(transformer.Layer):
  """One layer of ViT whose attention may also read lent keys and values."""

  def project(self, hidden: jax.Array) -> tuple[jax.Array, KeyValue]:
    """Projects float[B, P, D] to queries, and to keys and values to lend."""
    return self.attention(self.attention_norm(hidden))

  def attend(
    self,
    query: jax.Array,
    own: KeyValue,
    lent: KeyValue | None,
    key_bias: jax.Array | None,
    *,
    train: bool = False,
  ) -> Attended:
    """See `transformer.attend`; Q is P, and T tokens are lent."""
    del train  # ViT has no dropout; `TextLayer` has the same signature.
    return transformer.attend(query, own, lent, key_bias, self.config.num_heads)

  def update(
    self, hidden: jax.Array, attended: jax.Array, *, train: bool = False
  ) -> jax.Array:
    """Adds attention and MLP to `hidden`, float[B, P, D] each."""
    del train
    return self.add_mlp(self.add_attention(hidden, attended))

  def add_attention(self, hidden: jax.Array, attended: jax.Array) -> jax.Array:
    """Adds attention to `hidden`, float[B, P, D] each."""
    return hidden + self.attention.out(attended)

  def add_mlp(self, hidden: jax.Array) -> jax.Array:
    """Adds the MLP to float[B, P, D]."""
    return hidden + self.mlp(self.mlp_norm(hidden))


class VisualStream(nn.Module):
  """ViT. Systems whose vision reads the text run its layers one by one."""

  config: VisionConfig
  rules: StreamRules
  dtype: jnp.dtype

  def setup(self):
    """Declares `embed` and `layer_0` ... `layer_{n-1}`."""
    self.embed = VisualEmbeddings(self.config, self.rules, self.dtype)
    self.layer = [
      VisualLayer(self.config, self.dtype)
      for _ in range(self.config.num_layers)
    ]

  def read(
    self, batch: Batch, use_image: bool, use_objects: bool
  ) -> list[VisualTokens]:
    """Runs all layers on the pictures alone.

    The tokens are the class token, then those of the picture and the crops. A
    batch may have no picture, or no crop of a kind: see `Batch`.

    Returns:
      The tokens before the first layer and after each.
    """
    hidden, mask = self.embed(batch, use_image, use_objects)
    bias = None
    if self.rules.absent_masked:
      bias = transformer.mask_bias(mask, PADDING_BIAS)
    states = [hidden]
    for layer in self.layer:
      query, own = layer.project(states[-1])
      attended = layer.attend(query, own, None, bias)
      states.append(layer.update(states[-1], attended.values))
    return [VisualTokens(state, mask) for state in states]
