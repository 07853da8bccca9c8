"""HVPNeT: a pyramid of visual features as a prefix of BERT's keys and values.

Chen et al. 2022 (arXiv:2205.03521). A picture and its objects are regions with
the features of a ResNet's four stages, each pooled to 2 x 2. Levels made from
them are mixed for each layer l of BERT by a gate:

    g^l = softmax(LeakyReLU(W_l s)),  prefix^l = sum_i g^l_i level_i
    H'  = Attn(Q, [K_prefix; K], [V_prefix; V])

s is a summary of the levels. A region gives four prefix tokens.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.models.encoders.text_layer import TextLayer, read_rows
from ifa_jax.models.layers import scan, transformer
from ifa_jax.models.layers.packing import Packing, packing_of
from ifa_jax.models.layers.transformer import Dropout, KeyValue
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.relation_head import marker_positions
from ifa_jax.models.successors.pyramid import (
  NUM_PLACES,
  HVPNeTConfig,
  Pyramid,
)


class _Read(NamedTuple):
  """States float[B, T, D] and attention weights float32[B, T, 4M+T]."""

  hidden: list[jax.Array]
  weights: list[jax.Array]


class HVPNeT(nn.Module):
  """Maps a `Batch` to relation logits.

  Attributes:
    config: shape of the model.
    remat: see `layers.scan.scan_layers`; of layers that are stacked.
  """

  config: HVPNeTConfig
  remat: bool = False

  def setup(self):
    """Declares `text`, `pyramid` and `relation_head`."""
    config = self.config
    dtype = jnp.dtype(config.dtype)
    self.text = TextStream(config.text, dtype, self.remat)
    self.pyramid = Pyramid(config)
    self.relation_head = transformer.Linear(config.num_relations, jnp.float32)
    self.head_dropout = Dropout(config.head_dropout_rate)

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; `capture` adds states, attention and its maps."""
    regions, mask = self._regions(batch)
    prefix = self.pyramid(regions, mask)
    bias = self._bias(batch.attention_mask, mask)
    if capture:
      # Every layer on all tokens, which `_read` avoids.
      read = self._read_all(batch, prefix, bias, train)
      states = read_rows(read.hidden[-1], self._positions(batch))
      kept = self._captured(read, mask.shape[1])
    else:
      states, kept = self._read(batch, prefix, bias, train), {}
    return ModelOutput(self._classify(states, train), **kept)

  def _regions(self, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Returns features and mask; a batch without any has none."""
    if batch.regions is not None:
      return jnp.asarray(batch.regions), jnp.asarray(batch.region_mask)
    rows, slots = len(batch.input_ids), self.config.regions.num_regions
    width = NUM_PLACES * sum(self.config.stage_dims)
    return jnp.zeros((rows, slots, width)), jnp.zeros((rows, slots), bool)

  def _bias(self, text_mask: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns float32[B, 4M+T], the prefix first."""
    rules = self.config.rules
    seen = mask if rules.absent_masked else jnp.ones_like(mask)
    tokens = jnp.repeat(seen, NUM_PLACES, axis=1)
    biases = [
      transformer.mask_bias(kind, rules.padding_bias)
      for kind in (tokens, text_mask)
    ]
    return jnp.concatenate(biases, axis=1)

  def _positions(self, batch: Batch) -> jax.Array:
    if self.config.pooling == "cls":
      return jnp.zeros((len(batch.input_ids), 1), jnp.int32)
    return marker_positions(batch)

  def _read(
    self, batch: Batch, prefix: KeyValue, bias: jax.Array, train: bool
  ) -> jax.Array:
    """Returns the last states at the classified positions only."""
    packing = packing_of(batch)
    hidden = self.text.embed(batch, packing, train=train)
    # The last layer is run at the classified positions only.
    before = KeyValue(*(part[:-1] for part in prefix))
    stacked = scan.stacked_layers(self.text)
    if stacked is None:
      layers = self.text.layer[:-1]
      hidden = _run(layers, hidden, before, bias, packing, train).hidden[-1]
    else:
      hidden = self._scan(stacked, before, hidden, bias, packing, train)
    lent = KeyValue(*(part[-1] for part in prefix))
    return self.text.layer[-1].run_at(
      self._positions(batch), hidden, lent, bias, packing, train=train
    )

  def _scan(self, stacked, prefix, hidden, bias, packing, train) -> jax.Array:
    config = self.config

    def run_layer(hidden, params, rng, lent):
      unbound = TextLayer(config.text, jnp.dtype(config.dtype), parent=None)
      layer = scan.bind_layer(unbound, params, rng)
      # `_run` takes a prefix per layer; here it runs one.
      lent = KeyValue(*(part[None] for part in lent))
      return _run([layer], hidden, lent, bias, packing, train).hidden[-1]  # pyright: ignore[reportArgumentType]

    rng = self.make_rng("dropout") if train else None
    return scan.scan_layers(
      run_layer, hidden, stacked, rng, self.remat, (prefix,)
    )

  def _read_all(
    self, batch: Batch, prefix: KeyValue, bias: jax.Array, train: bool
  ) -> _Read:
    hidden = self.text.embed(batch, train=train)
    return _run(self.text.layer, hidden, prefix, bias, None, train)

  def _captured(self, read: _Read, num_regions: int) -> dict[str, jax.Array]:
    weights = jnp.stack(read.weights)
    kept = {"text_hidden": jnp.stack(read.hidden), "text_attention": weights}
    # A bare view mixes regions: its weights cannot be summed by region.
    if self.config.rules.heads_split:
      prefix = weights[..., : NUM_PLACES * num_regions]
      cut = prefix.reshape(*prefix.shape[:3], num_regions, NUM_PLACES)
      kept["region_weights"] = cut.sum(-1)
    return kept

  def _classify(self, states: jax.Array, train: bool) -> jax.Array:
    """Maps float[B, 1 or 2, D] to float32[B, C]."""
    pair = states.reshape(len(states), -1)
    drop = train and self.config.rules.head_dropout
    pair = self.head_dropout(pair, deterministic=not drop)
    return self.relation_head(pair.astype(jnp.float32))


def _run(
  layers: Sequence[TextLayer],
  hidden: jax.Array,
  prefix: KeyValue,
  bias: jax.Array,
  packing: Packing | None,
  train: bool,
) -> _Read:
  """Runs layers on float[B, T, D], each with its part of a prefix."""
  states, weights = [hidden], []
  for number, layer in enumerate(layers):
    query, own = layer.project(states[-1], packing)
    lent = KeyValue(*(part[number] for part in prefix))
    attended = layer.attend(query, own, lent, bias, train=train)
    states.append(
      layer.update(states[-1], attended.values, packing, train=train)
    )
    weights.append(attended.weights)
  return _Read(states, weights)
