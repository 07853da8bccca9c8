"""Converts encoders of transformers to a model for fine-tuning.

Parameters that no encoder has - the four markers' rows of the word table, the
position tables of the crops, the relation head, an omitted stream - are
initialised as in a new run with the same seed.
"""

import os
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from flax import traverse_util

from ifa_jax.convert import engine, initialize, sources, store
from ifa_jax.convert.engine import Rule
from ifa_jax.convert.huggingface import leftover_weights
from ifa_jax.convert.huggingface.assemble import (
  Options,
  model_config,
  resize_positions,
)
from ifa_jax.convert.huggingface.encoder_weights import Stream, read_stream
from ifa_jax.convert.store import Converted
from ifa_jax.models import parameters
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig

_POSITIONS = "visual/embed/position"


def from_huggingface(
  text: str | os.PathLike | None = None,
  vision: str | os.PathLike | None = None,
  rest: str | os.PathLike | None = None,
  **options: Any,
) -> tuple[ModelConfig, dict[str, Any]]:
  """Reads encoders of transformers, from folders or by their hub ids.

  Args:
    text: a `BertModel`, also inside a `BertFor...`. If it is None, the text
      stream is initialised, with the vision encoder's depth and width.
    vision: a `CLIPVisionModel`, also inside a `CLIPModel`, or a `ViTModel`;
      None: likewise.
    rest: the `rest.safetensors` of an export with these encoders. The result is
      the exported model, and there are no options.
    **options: fields of `Options`.

  Returns:
    The model's config and its float32 parameters, without BERT's pooler.

  Raises:
    ValueError: for encoders that are damaged, of another kind, or do not fit
      each other; names the file.
  """
  converted = convert(text, vision, rest, Options(**options))
  params = store.without_pooler(converted.params)
  return cast(ModelConfig, converted.model_config), params


def convert(
  text: str | os.PathLike | None,
  vision: str | os.PathLike | None,
  rest: str | os.PathLike | None,
  options: Options,
) -> Converted:
  """Does the same as `from_huggingface`, with the pooler and provenance."""
  if text is None and vision is None:
    raise ValueError("expected text, vision or both, got neither")
  if rest is not None and options != Options():
    raise ValueError(
      f"{rest}: holds the model's whole config; leave out the other settings"
    )
  streams = {
    side: read_stream(encoder, side, _parse_layers(options, f"{side}_layers"))
    for side, encoder in (("text", text), ("vision", vision))
    if encoder is not None
  }
  tokenizer = None
  if text is not None and streams["text"].source.has_tokenizer:
    # Loads transformers.
    from ifa_jax.data.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(streams["text"].source.folder)

  info = store.make_info("huggingface")
  for side, stream in streams.items():
    info["sources"][side] = stream.record
    info["dropped"][side] = stream.dropped
    info["notes"] += [f"{side}: {note}" for note in stream.notes]
  params = {
    path: array
    for stream in streams.values()
    for path, array in stream.params.items()
  }
  if rest is None:
    config = model_config(streams, tokenizer, options)
    old, new = _resize_positions(params, streams, config)
    if old != new:
      info["notes"].append(
        f"vision: position table resized from {old} to {new} pixels"
      )
    params, info["initialised"] = initialize.complete(
      params, config, options.seed
    )
  else:
    config, params, info["relations"] = _join(streams, params, rest)
    info["sources"]["rest"] = sources.record(os.fspath(rest), [os.fspath(rest)])
  nested = traverse_util.unflatten_dict(params, sep="/")
  return Converted(config, nested, info, tokenizer)


def _parse_layers(options: Options, name: str) -> int | None:
  """Returns N of "first:N"."""
  layers = getattr(options, name)
  if layers is None:
    return None
  kind, _, number = layers.partition(":")
  if kind != "first" or not number.isdecimal():
    raise ValueError(f"{name}: expected first:N, got {layers!r}")
  return int(number)


def _resize_positions(
  params: dict[str, np.ndarray],
  streams: Mapping[str, Stream],
  config: ModelConfig,
) -> tuple[int, int]:
  """Resizes the position table in place; returns the old and new image size."""
  vision: Any = config.vision
  if "vision" not in streams:
    return vision.image_size, vision.image_size
  side = vision.image_size // vision.patch_size
  params[_POSITIONS] = resize_positions(params[_POSITIONS], side)
  return streams["vision"].config.image_size, vision.image_size


def _join(
  streams: Mapping[str, Stream],
  params: dict[str, np.ndarray],
  rest: str | os.PathLike,
) -> tuple[System, dict[str, np.ndarray], list[str] | None]:
  """Returns config, parameters and relations of an exported model."""
  config, arrays, relations = leftover_weights.read_rest(rest)
  for side, stream in streams.items():
    leftover_weights.check_same(config, side, stream.config, stream.source)
  expected = {
    path: shape
    for path, shape in parameters.param_shapes(config).items()
    if path not in params
  }
  rules = [Rule(path, path) for path in expected]
  joined = engine.convert(arrays, rules, expected, os.fspath(rest))
  return config, params | joined, relations
