"""What every model returns."""

import jax
from flax import struct


@struct.dataclass
class ModelOutput:
  """A model's logits, and what lies before them under `capture=True`.

  Attributes:
    logits: float32[B, C].
    text_hidden: float[layers+1, B, T, D], embeddings and every layer.
    text_attention: float32[layers, B, T, P+T], head mean, visual keys first.
    visual_hidden: float[layers+1, B, P, D].
    visual_attention: float32[layers, B, P, T+P], head mean, text keys first.
    visual_mask: bool[B, P], True = a token that is there.
    region_weights: float32[maps, B, T, M], what a text token and an object of
      the picture are to each other, by each of `System.weight_names`.
  """

  logits: jax.Array
  text_hidden: jax.Array | None = None
  text_attention: jax.Array | None = None
  visual_hidden: jax.Array | None = None
  visual_attention: jax.Array | None = None
  visual_mask: jax.Array | None = None
  region_weights: jax.Array | None = None
