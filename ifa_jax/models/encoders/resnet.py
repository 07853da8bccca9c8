"""ResNet without a classifier, BatchNorm folded into its convolutions.

He et al. 2015 (arXiv:1512.03385) in the form that torchvision, timm and
transformers publish as ResNet-50: the stride is in the 3 x 3 convolution of a
stage's first block ("v1.5"). It is not trained here: BatchNorm in evaluation
mode is a scale and an offset, see `convert.resnet`.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

# ImageNet's, as torchvision and timm normalise by.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
_EXPANSION = 4


@dataclasses.dataclass(frozen=True)
class ResNetConfig:
  """Sizes of a ResNet of bottleneck blocks; the defaults are ResNet-50's.

  Attributes:
    depths: blocks of each stage.
    stem_dim: channels after the first convolution.
    stage_dims: channels of each stage.
  """

  depths: tuple[int, ...] = (3, 4, 6, 3)
  stem_dim: int = 64
  stage_dims: tuple[int, ...] = (256, 512, 1024, 2048)


class Conv(nn.Module):
  """A convolution with a bias, padded as PyTorch pads: float[B, y, x, C]."""

  features: int
  kernel_size: int
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps float32[B, H, W, C] to float32[B, H / stride, W / stride, F]."""
    pad = self.kernel_size // 2
    return nn.Conv(
      self.features,
      (self.kernel_size,) * 2,
      self.stride,
      padding=[(pad, pad)] * 2,
      name="conv",
    )(x)


class Block(nn.Module):
  """A bottleneck block; `shortcut` only where the shape changes."""

  features: int
  stride: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps float32[B, H, W, C] to float32[B, H / stride, W / stride, F]."""
    inner = self.features // _EXPANSION
    y = nn.relu(Conv(inner, 1, name="reduce")(x))
    y = nn.relu(Conv(inner, 3, self.stride, name="spatial")(y))
    y = Conv(self.features, 1, name="expand")(y)
    if x.shape[-1] != self.features or self.stride > 1:
      x = Conv(self.features, 1, self.stride, name="shortcut")(x)
    return nn.relu(x + y)


class ResNet(nn.Module):
  """Maps normalised pixels to the maps of all stages."""

  config: ResNetConfig

  @nn.compact
  def __call__(self, pixels: jax.Array) -> list[jax.Array]:
    """Returns a map float32[B, S, S, C] for each stage.

    Args:
      pixels: normalised float32[B, size, size, 3].
    """
    config = self.config
    x = nn.relu(Conv(config.stem_dim, 7, 2, name="stem")(pixels))
    x = nn.max_pool(x, (3, 3), (2, 2), padding=[(1, 1)] * 2)  # pyright: ignore[reportArgumentType]
    maps = []
    stages = zip(config.depths, config.stage_dims, strict=True)
    for i, (depth, width) in enumerate(stages):
      for j in range(depth):
        stride = 2 if i > 0 and j == 0 else 1
        x = Block(width, stride, name=f"stage_{i}_block_{j}")(x)
      maps.append(x)
    return maps


def pyramid(maps: Sequence[jax.Array]) -> jax.Array:
  """Pools the maps of all stages to 2 x 2, as HVPNeT does (M10-48).

  The window and the stride are half a side, rounded down: of a side of 7, rows
  0-2 and 3-5 are averaged, and row 6 is dropped.

  Args:
    maps: float[B, S, S, C] of each stage.

  Returns:
    float[B, 4 * channels of all stages]: channel by channel, its four places
    row by row; see `successors.pyramid`.
  """
  pooled = []
  for x in maps:
    window = (x.shape[1] // 2,) * 2
    mean = nn.avg_pool(x, window, window)
    pooled.append(jnp.transpose(mean, (0, 3, 1, 2)))
  joined = jnp.concatenate(pooled, axis=1)
  return joined.reshape(len(joined), -1)
