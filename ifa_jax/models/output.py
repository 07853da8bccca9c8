"""The output of every model."""

import jax
from flax import struct

from ifa_jax.batch import Given


class ModelOutput(struct.PyTreeNode):
  """A model's logits and, under `capture=True`, its hidden states.

  Attributes:
    logits: float32[B, C].
    text_hidden: float[layers+1, B, T, D], embeddings, then every layer.
    text_attention: float32[maps, B, T, P], weights between text tokens and
      visual ones, a map for each of `System.map_titles`; of IFAformer
      and of systems without such maps float32[layers, B, T, P+T], head mean,
      visual keys first.
    visual_hidden: float[layers+1, B, P, D].
    visual_attention: float32[layers, B, P, T+P], head mean, text keys first.
    visual_mask: bool[B, P], True = present.
    region_weights: float32[maps, B, T, M], weights between text tokens and
      objects, a map for each of `System.weight_names`.
  """

  logits: jax.Array
  text_hidden: Given = None
  text_attention: Given = None
  visual_hidden: Given = None
  visual_attention: Given = None
  visual_mask: Given = None
  region_weights: Given = None
