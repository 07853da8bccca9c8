"""ViLBERT's visual stream: BERT's layers over the regions of a picture.

Lu et al. 2019 (arXiv:1908.02265). The first token is the whole picture, the
mean of its regions.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.files.dataclass_dict import Count, NonNegative, Rate
from ifa_jax.models.base import RegionConfig
from ifa_jax.models.encoders.text_layer import TextLayer
from ifa_jax.models.encoders.vision import VisualTokens
from ifa_jax.models.layers import transformer
from ifa_jax.models.layers.transformer import Dropout

# x0, y0, x1, y1 and area of the whole picture, as fractions of it.
_WHOLE_PICTURE = (0.0, 0.0, 1.0, 1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class RegionStreamConfig:
  """Shape of the region stream, a BERT without a vocabulary.

  Attributes:
    activation: "gelu" (erf) or "quick_gelu", see `transformer.ACTIVATIONS`.
  """

  hidden_dim: Count = 1024
  num_layers: Count = 6
  num_heads: Count = 8
  mlp_dim: Count = 1024
  norm_epsilon: NonNegative = 1e-12
  activation: str = "gelu"
  dropout_rate: Rate = 0.1
  attention_dropout_rate: Rate = 0.1


def with_whole_picture(
  batch: Batch, config: RegionConfig
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Prepends the mean of a picture's regions, 0 if it has none; P is 1+M.

  Args:
    batch: its regions may be None; then there are none.
    config: gives the width of the features in that case.

  Returns:
    Features float32[B, P, Dv], boxes float32[B, P, 5] as in
    `Batch.region_boxes`, and bool[B, P], True = present. Absent regions are 0.
  """
  rows = len(batch.input_ids)
  if batch.regions is None:
    features = jnp.zeros((rows, 0, config.feature_dim))
    boxes, mask = jnp.zeros((rows, 0, 5)), jnp.zeros((rows, 0), bool)
  else:
    mask = batch.region_mask
    # `where`, not a product: absent regions may hold NaN.
    features = jnp.where(mask[..., None], batch.regions, 0.0)
    boxes = jnp.where(mask[..., None], batch.region_boxes, 0.0)
  count = jnp.maximum(mask.sum(axis=1), 1)[:, None, None]
  mean = features.sum(axis=1, keepdims=True) / count
  whole = jnp.tile(jnp.asarray(_WHOLE_PICTURE), (rows, 1, 1))
  return (
    jnp.concatenate([mean, features], axis=1),
    jnp.concatenate([whole, boxes], axis=1),
    jnp.concatenate([jnp.ones((rows, 1), bool), mask], axis=1),
  )


class RegionEmbeddings(nn.Module):
  """Sum of projected features and boxes, with norm and dropout."""

  config: RegionStreamConfig
  regions: RegionConfig
  dtype: jnp.dtype

  def setup(self):
    """Declares two projections and a norm."""
    config = self.config
    self.feature = transformer.Linear(config.hidden_dim, self.dtype)
    self.box = transformer.Linear(config.hidden_dim, self.dtype)
    self.norm = transformer.layer_norm(config.norm_epsilon, self.dtype)
    self.dropout = Dropout(config.dropout_rate)

  def __call__(self, batch: Batch, *, train: bool) -> VisualTokens:
    """Returns the whole picture and its regions."""
    features, boxes, mask = with_whole_picture(batch, self.regions)
    embedded = self.norm(self.feature(features) + self.box(boxes))
    return VisualTokens(self.dropout(embedded, deterministic=not train), mask)


class RegionStream(nn.Module):
  """Embeddings and layers; `ViLBERT` runs them between the connections."""

  config: RegionStreamConfig
  regions: RegionConfig
  dtype: jnp.dtype

  def setup(self):
    """Declares `embed` and `layer_0` ... `layer_{n-1}`."""
    self.embed = RegionEmbeddings(self.config, self.regions, self.dtype)
    self.layer = [
      TextLayer(self.config, self.dtype) for _ in range(self.config.num_layers)
    ]
