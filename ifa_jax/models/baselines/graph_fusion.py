"""Objects of a picture, read through the text that they are aligned with.

An object stands for the tokens that it is aligned with, by graphs (structural,
given with the batch) or by attention (semantic, learned): it is the mixture of
their vectors, and the picture is the sum of its objects (Zheng et al., ACM MM
2021). E is twice the text's width D.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.config import PADDING_BIAS
from ifa_jax.models.layers import transformer
from ifa_jax.models.relation_head import entity_starts


class FusionRules(NamedTuple):
  """What sets the published forms apart; the defaults are MEGA's equations.

  "Released" is `BERTEntityEncoder` of thecharm/Mega@537e649,
  opennre/encoder/bert_encoder.py.

  Attributes:
    lifted: text and objects pass a linear layer to width E each before they are
      projected. The structural alignment then mixes what this makes of the
      text, and entities are the text's own states; otherwise both are the
      values of attention. Released.
    squashed: a sigmoid is applied to what attention mixed. Released.
    joined: the two mixtures of an object pass a linear layer side by side, or
      the only one alone; otherwise they are added. Released.
    mask_padding: attention gives padding no weight. Released: it does.
    mask_objects: absent objects are left out of the sum. Released: they stay.
  """

  lifted: bool = False
  squashed: bool = False
  joined: bool = False
  mask_padding: bool = True
  mask_objects: bool = True


class Fused(NamedTuple):
  """A pair of entities beside a picture.

  Attributes:
    pair: float[B, D'], the entities and the picture side by side. D' is 2E, or
      3E where the entities are values.
    weights: float32[maps, B, T, M], the structural alignment before the
      semantic; None without either.
  """

  pair: jax.Array
  weights: jax.Array | None


class GraphFusion(nn.Module):
  """Puts what the objects say of the text beside the two entities.

  Without any alignment an object is its own vector, lifted: BERT+SG.

  Attributes:
    width: E.
    structural: whether objects read the text by `Batch.alignment`.
    semantic: whether objects read the text by attention.
    rules: the form.
    dtype: of the computation.
  """

  width: int
  structural: bool
  semantic: bool
  rules: FusionRules
  dtype: jnp.dtype

  def setup(self):
    """Declares the layers that the form has, and no other."""
    dense = functools.partial(transformer.Linear, self.width, self.dtype)
    aligned = self.structural or self.semantic
    if self.rules.lifted and aligned:
      self.text = dense()
    if self.rules.lifted and (self.semantic or not aligned):
      self.regions = dense()
    if self.semantic:
      self.query, self.key = dense(), dense()
    if self.semantic or not self.rules.lifted:
      self.value = dense()
    if self.rules.joined:
      self.joint = dense()

  def __call__(self, hidden: jax.Array, batch: Batch) -> Fused:
    """Reads the text's states, float[B, T, D], and the batch's regions."""
    objects, weights, entities = self._read(hidden, batch)
    if self.rules.joined:
      # As released: what attention mixed stands first.
      objects = [self.joint(jnp.concatenate(objects[::-1], axis=-1))]
    objects = sum(objects)
    weights = jnp.stack(weights) if weights else None
    if self.rules.mask_objects:
      there = batch.region_mask
      objects = jnp.where(there[..., None], objects, 0)
      if weights is not None:
        weights = jnp.where(there[:, None], weights, 0)
    pair = entity_starts(entities, batch)
    pair = jnp.concatenate([pair, jnp.sum(objects, axis=1)], axis=-1)
    return Fused(pair, weights)

  def _read(
    self, hidden: jax.Array, batch: Batch
  ) -> tuple[list[jax.Array], list[jax.Array], jax.Array]:
    """Returns what objects read, by which weights, and the entities' states.

    Args:
      hidden: float[B, T, D].
      batch: gives regions, alignment and masks.

    Returns:
      float[B, M, E] each, float32[B, T, M] each, and float[B, T, D or E].
    """
    text, regions, lifted = hidden, batch.regions, self.rules.lifted
    if not (self.structural or self.semantic):
      return [self.regions(regions)], [], hidden
    if lifted:
      text = self.text(hidden)
    if lifted and self.semantic:
      regions = self.regions(regions)
    # Where it is read, it is there.
    value: Any = self.value(text) if self.semantic or not lifted else None
    read, weights = [], []
    if self.structural:
      weights.append(batch.alignment)
      read.append(_mix(weights[-1], text if lifted else value))
    if self.semantic:
      weights.append(self._attend(text, regions, batch.attention_mask))
      mixed = _mix(weights[-1], value)
      read.append(nn.sigmoid(mixed) if self.rules.squashed else mixed)
    return read, weights, hidden if lifted else value

  def _attend(self, text, regions, text_mask) -> jax.Array:
    """Returns float32[B, T, M]: of each object, its weights of the tokens."""
    query, key = self.query(regions), self.key(text)
    logits = jnp.einsum(
      "BME,BTE->BTM",
      query * self.width**-0.5,
      key,
      preferred_element_type=jnp.float32,
    )
    if self.rules.mask_padding:
      logits += transformer.mask_bias(text_mask, PADDING_BIAS)[..., None]
    return jax.nn.softmax(logits, axis=1)


def _mix(weights: jax.Array, states: jax.Array) -> jax.Array:
  """Sums float[B, T, E] by float32[B, T, M] to float[B, M, E]."""
  return jnp.einsum("BTM,BTE->BME", weights.astype(states.dtype), states)
