"""IFAformer: two streams that lend each other keys and values at every layer.

Li et al. 2023 (arXiv:2211.07504), equations (1) and (2); `layer_pair` is one
layer of both.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.config import ModelConfig
from ifa_jax.models.encoders.text import TextStream
from ifa_jax.models.encoders.text_layer import TextLayer, read_rows
from ifa_jax.models.encoders.vision import (
  VisualLayer,
  VisualStream,
  VisualTokens,
)
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
  """Maps a `Batch` to relation logits.

  The last visual layer's output reaches nothing, since text layer l reads what
  goes *into* visual layer l; of the last text layer's, only the two markers
  reach a logit. Both are computed whole for `capture` alone, and once at the
  start, so that every parameter exists.

  Attributes:
    config: shapes and switches.
    remat: see `layers.scan.scan_layers`; of layers that are stacked.
  """

  config: ModelConfig
  remat: bool = False

  def setup(self):
    """Declares `text`, `visual` (unless text only) and `relation_head`."""
    config = self.config
    dtype = jnp.dtype(config.dtype)
    self.text = TextStream(config.text, dtype, self.remat)
    if config.vision is not None:
      self.visual = VisualStream(config.vision, config.rules, dtype)
    self.relation_head = transformer.Linear(config.num_relations, jnp.float32)
    self.head_dropout = Dropout(config.head_dropout_rate)

  def __call__(
    self, batch: Batch, *, train: bool = False, capture: bool = False
  ) -> ModelOutput:
    """Returns logits; `train` drops out, `capture` keeps what lies between.

    Stacked layers (see `layers.scan`) can be run, but nothing of them captured.
    """
    whole = capture or self.is_initializing()
    if self.config.vision is None:
      markers, captured = self._read_text(batch, whole, train)
    elif whole:
      markers, captured = self._capture_both(batch, train)
    else:
      markers, captured = self._read_both(batch, train), {}
    logits = self._classify(markers, train)
    return ModelOutput(logits, **captured if capture else {})

  def _read_text(self, batch, whole, train):
    """Runs BERT alone; returns float[B, 2, D] and what `capture` keeps."""
    bias, markers = self.config.rules.padding_bias, marker_positions(batch)
    positions = None if whole else markers
    read = self.text(batch, train=train, padding_bias=bias, positions=positions)
    if not whole:
      return read.hidden[-1], {}
    return read_rows(read.hidden[-1], markers), read.captured()

  def _visual_tokens(self, batch: Batch) -> VisualTokens:
    config = self.config
    tokens = self.visual.embed(batch, config.use_image, config.use_objects)
    if config.rules.absent_masked:
      return tokens
    return tokens._replace(mask=jnp.ones_like(tokens.mask))

  def _start(self, batch: Batch, packing: Packing | None, train: bool):
    """Returns what goes into the first pair, its biases, and visual mask."""
    tokens = self._visual_tokens(batch)
    text = self.text.embed(batch, packing, train=train)
    bias = key_biases(batch.attention_mask, tokens.mask, self.config)
    return Streams(text, tokens.hidden), bias, tokens.mask

  def _pairs(self, packing: Packing | None = None) -> list[LayerPair]:
    layers = zip(self.text.layer, self.visual.layer, strict=True)
    return [
      LayerPair(text, visual, self.config, i == 0, packing)
      for i, (text, visual) in enumerate(layers)
    ]

  def _read_both(self, batch: Batch, train: bool) -> jax.Array:
    """Runs both streams; returns the text's states at the markers."""
    packing = packing_of(batch)
    streams, bias, _ = self._start(batch, packing, train)
    *pairs, last = self._pairs(packing)
    if scan.stacked_layers(self.text) is not None:
      streams = self._scan(streams, bias, packing, train)
    elif train:
      for pair in pairs:
        streams, _ = pair.run(streams, bias, train)
    else:
      streams = self._run_alike(pairs, streams, bias)
    return last.read(streams, bias, marker_positions(batch), train)

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

    stacked = tuple(map(scan.stacked_layers, (self.text, self.visual)))
    rng = self.make_rng("dropout") if train else None
    return scan.scan_layers(run_pair, streams, stacked, rng, self.remat)

  def _run_alike(
    self, pairs: Sequence[LayerPair], streams: Streams, bias: KeyBiases
  ) -> Streams:
    """Runs pairs without dropout; equal ones are traced once."""
    rules = self.config.rules
    first_differs = rules.raw_first_layer or rules.text_lends_late
    for pair in pairs:
      layers = (pair.text, pair.visual)
      params = [layer.variables["params"] for layer in layers]
      first = pair.first and first_differs
      streams = _run_pair(
        self.config, first, params, pair.packing, streams, bias
      )
    return streams

  def _capture_both(self, batch: Batch, train: bool):
    """Runs both streams whole; see `_read_text`."""
    streams, bias, mask = self._start(batch, None, train)
    states, weights = [streams], []
    for pair in self._pairs():
      streams, found = pair.run(streams, bias, train)
      states.append(streams)
      weights.append(found)
    return read_rows(streams.text, marker_positions(batch)), {
      "text_hidden": jnp.stack([state.text for state in states]),
      "text_attention": jnp.stack([weight.text for weight in weights]),
      "visual_hidden": jnp.stack([state.visual for state in states]),
      "visual_attention": jnp.stack([weight.visual for weight in weights]),
      "visual_mask": mask,
    }

  def _classify(self, markers: jax.Array, train: bool) -> jax.Array:
    """Maps the markers' states, float[B, 2, D], to float32[B, C]."""
    pair = markers.reshape(len(markers), -1)
    drop = train and self.config.rules.head_dropout
    pair = self.head_dropout(pair, deterministic=not drop)
    return self.relation_head(pair.astype(jnp.float32))


# The compiler puts the layers in place of their calls.
@functools.partial(jax.jit, static_argnums=(0, 1))
def _run_pair(
  config: ModelConfig,
  first: bool,
  params: Sequence[Any],
  packing: Packing | None,
  streams: Streams,
  bias: KeyBiases,
) -> Streams:
  pair = _bind_pair(config, params, None, packing)._replace(first=first)
  return pair.run(streams, bias, train=False)[0]


def _bind_pair(
  config: ModelConfig,
  params: Sequence[Any],
  rng: jax.Array | None,
  packing: Packing | None,
) -> LayerPair:
  """Returns a pair with parameters of a text layer and a visual layer."""
  dtype = jnp.dtype(config.dtype)
  for_text, for_visual = params
  text = TextLayer(config.text, dtype, parent=None)
  visual = VisualLayer(config.vision, dtype, parent=None)  # pyright: ignore[reportArgumentType]
  return LayerPair(
    scan.bind_layer(text, for_text, rng),  # pyright: ignore[reportArgumentType]
    scan.bind_layer(visual, for_visual, rng),  # pyright: ignore[reportArgumentType]
    config,
    packing=packing,
  )
