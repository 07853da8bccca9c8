"""What every model returns."""

import jax
from flax import struct

from ifa_jax.batch import Given


class ModelOutput(struct.PyTreeNode):
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
  text_hidden: Given = None
  text_attention: Given = None
  visual_hidden: Given = None
  visual_attention: Given = None
  visual_mask: Given = None
  region_weights: Given = None
