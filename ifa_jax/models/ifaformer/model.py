"""IFAformer: two streams that lend each other keys and values at every layer.

Li et al. 2023 (arXiv:2211.07504), equations (1) and (2); `layer_pair` is one
layer of both.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.config import ModelConfig
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.models.encoders.text_layer import TextLayer, read_rows
from ifa_jax.models.encoders.vision import VisualLayer, VisualStream
from ifa_jax.models.ifaformer.layer_pair import (
  KeyBiases,
  LayerPair,
  Streams,
  key_biases,
)
from ifa_jax.models.layers import scan, transformer
from ifa_jax.models.layers.packing import Packing, packing_of
from ifa_jax.models.layers.transformer import Dropout
from ifa_jax.models.output import ModelOutput
from ifa_jax.models.relation_head import marker_positions


class IFAformer(nn.Module):
  """Maps a `Batch` to relation logits; `caption` has a subclass.

  Text layer l reads the *input* of visual layer l, so the last visual layer's
  output is never read, and of the last text layer's output only the states at
  the two markers are. Both are computed in full only for `capture`, and at
  initialisation, which must create every parameter.

  Attributes:
    config: `ModelConfig`, or `caption.CaptionConfig`.
    remat: see `layers.scan.scan_layers`; applies to stacked layers.
  """

  config: Any
  remat: bool = False

  def setup(self):
    """Declares `text`, `visual` (if there is one) and `relation_head`."""
    config = self.config
    dtype = jnp.dtype(config.dtype)
    self.text = TextStream(config.text, dtype, self.remat)
    if isinstance(config, ModelConfig) and config.vision is not None:
      self.visual = VisualStream(config.vision, config.rules, dtype)
    self.relation_head = transformer.Linear(config.num_relations, jnp.float32)
    self.head_dropout = Dropout(config.head_dropout_rate)

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; `train` applies dropout, `capture` keeps hidden states.

    Stacked layers (see `layers.scan`) can be run, but not captured.
    """
    rules, captured = self.config.rules, {}
    positions = marker_positions(batch)
    if self._second is None:
      markers, captured = self.text.read(
        batch,
        positions,
        train=train,
        capture=capture,
        padding_bias=rules.padding_bias,
      )
    elif capture or self.is_initializing():
      markers, captured = self._capture_both(batch, positions, train)
    else:
      markers = self._read_both(batch, positions, train)
    # float[B, 2, D] to the pair's vector, head first.
    pair = markers.reshape(len(markers), -1)
    drop = train and rules.head_dropout
    pair = self.head_dropout(pair, deterministic=not drop)
    logits = self.relation_head(pair.astype(jnp.float32))
    return ModelOutput(logits, **captured if capture else {})

  @property
  def _second(self) -> Any:
    """The stream that exchanges keys and values with the text; or None."""
    return None if self.config.vision is None else self.visual

  def _embed_second(
    self, batch: Batch, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the second stream's input, float[B, P, D], and bool[B, P]."""
    del train  # ViT has no dropout.
    config = self.config
    return self.visual.embed(batch, config.use_image, config.use_objects)

  def _embed(self, batch: Batch, packing: Packing | None, train: bool):
    """Returns the first pair's input, its biases, and the visual mask."""
    config = self.config
    visual, mask = self._embed_second(batch, train)
    # Absent crops are zeros with a position, which everything attends to.
    if not config.rules.absent_masked:
      mask = jnp.ones_like(mask)
    text = self.text.embed(batch, packing, train=train)
    bias = key_biases(batch.attention_mask, mask, config)
    return Streams(text, visual), bias, mask

  def _pairs(self, packing: Packing | None = None) -> list[LayerPair]:
    layers = zip(self.text.layer, self._second.layer, strict=True)
    return [
      LayerPair(text, visual, self.config, i == 0, packing)
      for i, (text, visual) in enumerate(layers)
    ]

  def _read_both(
    self, batch: Batch, positions: jax.Array, train: bool
  ) -> jax.Array:
    """Runs both streams; returns the text's last states at int32[B, R]."""
    packing = packing_of(batch)
    streams, bias, _ = self._embed(batch, packing, train)
    *pairs, last = self._pairs(packing)
    if scan.stacked_layers(self.text) is not None:
      streams = self._scan(streams, bias, packing, train)
    else:
      for pair in pairs:
        # Dropout draws differ between layers, so training traces every pair.
        if train:
          streams, _ = pair.run(streams, bias, train)
        else:
          streams = self._run_cached(pair, streams, bias)
    return last.read(streams, bias, positions, train)

  def _scan(
    self,
    streams: Streams,
    bias: KeyBiases,
    packing: Packing | None,
    train: bool,
  ) -> Streams:
    """Runs all pairs but the last, whose layers are stacked."""

    def run_pair(streams, params, rng):
      pair = _bind_pair(self.config, params, rng, packing)
      return pair.run(streams, bias, train)[0]

    stacked = tuple(map(scan.stacked_layers, (self.text, self._second)))
    rng = self.make_rng("dropout") if train else None
    return scan.scan_layers(run_pair, streams, stacked, rng, self.remat)

  def _run_cached(
    self, pair: LayerPair, streams: Streams, bias: KeyBiases
  ) -> Streams:
    """Runs a pair without dropout; equal pairs are traced once."""
    rules = self.config.rules
    # Where the first pair computes as all others do, it shares their trace.
    first_differs = rules.raw_first_layer or rules.text_lends_late
    first = pair.first and first_differs
    params = tuple(x.variables["params"] for x in (pair.text, pair.visual))
    return _run_pair(self.config, first, params, pair.packing, streams, bias)

  def _capture_both(self, batch: Batch, positions: jax.Array, train: bool):
    """Returns text states at int32[B, R], and the fields of `ModelOutput`."""
    streams, bias, mask = self._embed(batch, None, train)
    states, weights = [streams], []
    for pair in self._pairs():
      streams, attention = pair.run(streams, bias, train)
      states.append(streams)
      weights.append(attention)
    text_weights, visual_weights = zip(*weights, strict=True)
    return read_rows(streams.text, positions), {
      "text_hidden": jnp.stack([state.text for state in states]),
      "text_attention": jnp.stack(text_weights),
      "visual_hidden": jnp.stack([state.visual for state in states]),
      "visual_attention": jnp.stack(visual_weights),
      "visual_mask": mask,
    }


# Jitted to be traced once, although the layers are called inside another jit;
# the compiler inlines the calls.
@functools.partial(jax.jit, static_argnums=(0, 1))
def _run_pair(
  config: Any,
  first: bool,
  params: tuple[Any, Any],
  packing: Packing | None,
  streams: Streams,
  bias: KeyBiases,
) -> Streams:
  pair = _bind_pair(config, params, None, packing)._replace(first=first)
  return pair.run(streams, bias, train=False)[0]


def _bind_pair(
  config: Any,
  params: tuple[Any, Any],
  rng: jax.Array | None,
  packing: Packing | None,
) -> LayerPair:
  """Returns a pair with parameters of a text layer and a visual layer."""
  dtype = jnp.dtype(config.dtype)
  text = TextLayer(config.text, dtype, parent=None)
  if config.reads_caption:
    second = TextLayer(config.caption, dtype, parent=None)
  else:
    second = VisualLayer(config.vision, dtype, parent=None)
  # Both would drop the same elements with the same key.
  second_rng = None if rng is None else jax.random.fold_in(rng, 1)
  return LayerPair(
    scan.bind_layer(text, params[0], rng),  # pyright: ignore[reportArgumentType]
    scan.bind_layer(second, params[1], second_rng),  # pyright: ignore[reportArgumentType]
    config,
    packing=packing,
  )
