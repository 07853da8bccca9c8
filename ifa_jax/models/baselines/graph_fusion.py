"""Objects of a picture, represented by the text that they are aligned with.

An object's vector is the weighted sum of its aligned tokens' vectors, and the
picture's vector is the sum of its objects' (Zheng et al., ACM MM 2021). Weights
come from graphs (structural, given with the batch) or from attention (semantic,
learned). E is twice the text's width D.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.exchange import PADDING_BIAS
from ifa_jax.models.layers import transformer
from ifa_jax.models.relation_head import entity_starts


class FusionRules(NamedTuple):
  """Differences between the published forms; defaults are MEGA's equations.

  "Released" is `BERTEntityEncoder` of thecharm/Mega@537e649,
  opennre/encoder/bert_encoder.py.

  Attributes:
    lifted: text and objects each pass a linear layer to width E before they are
      projected. The structural alignment then mixes the lifted text, and
      entities are the text's own states; otherwise both use the values of
      attention. Released.
    squashed: a sigmoid follows the attention's mixture. Released.
    joined: the mixtures of an object are concatenated and pass a linear layer;
      otherwise they are added. Released.
    mask_padding: attention gives padding no weight. Released: it does.
    mask_objects: absent objects are left out of the sum. Released: they are
      included.
  """

  lifted: bool = False
  squashed: bool = False
  joined: bool = False
  mask_padding: bool = True
  mask_objects: bool = True


class GraphFusion(nn.Module):
  """Concatenates the two entities with the picture.

  Without any alignment an object is its own lifted vector: BERT+SG.

  Attributes:
    width: E.
    structural: whether objects read the text through `Batch.alignment`.
    semantic: whether objects read the text through attention.
    rules: the form of the fusion.
    dtype: of the computation.
  """

  width: int
  structural: bool
  semantic: bool
  rules: FusionRules
  dtype: jnp.dtype

  def setup(self):
    """Declares the layers of all forms."""
    dense = functools.partial(transformer.Linear, self.width, self.dtype)
    # Flax creates parameters only for the layers that a form calls.
    self.text, self.regions, self.joint = dense(), dense(), dense()
    self.query, self.key, self.value = dense(), dense(), dense()

  def __call__(
    self, hidden: jax.Array, batch: Batch
  ) -> tuple[jax.Array, jax.Array | None]:
    """Reads the text's states, float[B, T, D], and the batch's regions.

    Returns:
      Entities and picture, float[B, 2E], or float[B, 3E] where the entities are
      values; and float32[maps, B, T, M], the structural alignment before the
      semantic, or None without either.
    """
    objects, weights, entities = self._read(hidden, batch)
    if self.rules.joined:
      # bert_encoder.py concatenates the attention's mixture first.
      objects = [self.joint(jnp.concatenate(objects[::-1], axis=-1))]
    objects = sum(objects)
    weights = jnp.stack(weights) if weights else None
    if self.rules.mask_objects:
      # `where`, not a product: absent objects may hold NaN.
      objects = jnp.where(batch.region_mask[..., None], objects, 0)
      if weights is not None:
        weights = jnp.where(batch.region_mask[:, None], weights, 0)
    pair = entity_starts(entities, batch)
    return jnp.concatenate([pair, jnp.sum(objects, axis=1)], axis=-1), weights

  def _read(
    self, hidden: jax.Array, batch: Batch
  ) -> tuple[list[jax.Array], list[jax.Array], jax.Array]:
    """Returns the objects' mixtures, their weights, and the text's states.

    They are float[B, M, E] and float32[B, T, M] for each alignment, and
    float[B, T, D or E], which entities are read from.
    """
    text, regions, lifted = hidden, batch.regions, self.rules.lifted
    if not (self.structural or self.semantic):
      return [self.regions(regions)], [], hidden
    if lifted:
      text = self.text(hidden)
    if lifted and self.semantic:
      regions = self.regions(regions)
    # The released form without attention has no values, and reads none.
    value = self.value(text) if self.semantic or not lifted else text
    mixtures, weights = [], []
    if self.structural:
      weights.append(batch.alignment)
      mixtures.append(_mix(weights[-1], text if lifted else value))
    if self.semantic:
      weights.append(self._attend(text, regions, batch.attention_mask))
      mixed = _mix(weights[-1], value)
      mixtures.append(nn.sigmoid(mixed) if self.rules.squashed else mixed)
    return mixtures, weights, hidden if lifted else value

  def _attend(self, text, regions, text_mask) -> jax.Array:
    """Returns float32[B, T, M], each object's attention to the tokens."""
    query = self.query(regions) * self.width**-0.5
    # bfloat16 has too few digits for a softmax's logits.
    logits = jnp.einsum(
      "BME,BTE->BTM", query, self.key(text), preferred_element_type=jnp.float32
    )
    if self.rules.mask_padding:
      logits += transformer.mask_bias(text_mask, PADDING_BIAS)[..., None]
    # Over tokens: it is the object that attends.
    return jax.nn.softmax(logits, axis=1)


def _mix(weights: jax.Array, states: jax.Array) -> jax.Array:
  """Sums float[B, T, E] by float32[B, T, M] to float[B, M, E]."""
  return jnp.einsum("BTM,BTE->BME", weights.astype(states.dtype), states)
