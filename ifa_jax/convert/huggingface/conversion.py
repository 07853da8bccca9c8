"""Encoders of `transformers` to a model that is ready to be fine-tuned.

What no encoder brings - the four markers' rows of the word table, the position
tables of the crops, the relation head, a stream that was left out - starts as a
new run with the same seed starts it. BERT's pooler, which only another system
reads, is kept beside the model, see `pooler`.
"""

import os
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from flax import traverse_util

from ifa_jax.convert import engine, initialize, pooler, sources
from ifa_jax.convert.huggingface import leftover_weights as rests
from ifa_jax.convert.huggingface.assemble import Options, model_config
from ifa_jax.convert.huggingface.encoder_weights import Stream, read_stream
from ifa_jax.convert.huggingface.positions import resize_positions
from ifa_jax.convert.rules import Rule
from ifa_jax.convert.store import Converted, make_info
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
  """Reads encoders of `transformers`, from folders or by their hub ids.

  Args:
    text: a `BertModel`, also inside a `BertFor...`; None: the text stream keeps
      its initialisation, at the vision encoder's depth and width.
    vision: a `CLIPVisionModel`, also inside a `CLIPModel`, or a `ViTModel`;
      None: likewise.
    rest: the `rest.safetensors` of an export, whose encoders these are. The
      model is the very same then, and there are no options.
    **options: fields of `Options`.

  Returns:
    The model's config and its float32 parameters, without BERT's pooler.

  Raises:
    ValueError: for encoders that are damaged, of another kind, or do not fit
      each other; names the culprit.
  """
  converted = convert(text, vision, rest, Options(**options))
  return cast(ModelConfig, converted.model_config), pooler.without(
    converted.params
  )


def convert(
  text: str | os.PathLike | None,
  vision: str | os.PathLike | None,
  rest: str | os.PathLike | None,
  options: Options,
) -> Converted:
  """Does what `from_huggingface` does, and tells where all comes from."""
  if text is None and vision is None:
    raise ValueError("want text, vision or both, found neither")
  if rest is not None and options != Options():
    raise ValueError(
      f"{rest}: holds the model's whole config; leave out the other settings"
    )
  streams = {}
  if text is not None:
    number = _first(options.text_layers, "text_layers")
    streams["text"] = read_stream(text, "text", number)
  if vision is not None:
    number = _first(options.vision_layers, "vision_layers")
    streams["vision"] = read_stream(vision, "vision", number)
  tokenizer = _load_tokenizer(streams)
  if rest is None:
    config, params, initialised = _start(streams, tokenizer, options)
    found = {"initialised": initialised}
  else:
    config, params, relations = _join(streams, rest)
    found = {"relations": relations}
  info = _describe(streams, rest, config) | found
  nested = traverse_util.unflatten_dict(params, sep="/")
  return Converted(config, nested, info, tokenizer)


def _describe(
  streams: Mapping[str, Stream],
  rest: str | os.PathLike | None,
  config: System,
) -> dict[str, Any]:
  """Returns where a model comes from, and what its encoders lost."""
  info = make_info("huggingface")
  for side, stream in streams.items():
    info["sources"][side] = {"name": stream.source.name, "files": stream.files}
    info["dropped"][side] = stream.dropped
    info["notes"] += [f"{side}: {note}" for note in stream.notes]
  if rest is not None:
    files = {os.path.basename(rest): sources.sha256(os.fspath(rest))}
    info["sources"]["rest"] = {"name": os.fspath(rest), "files": files}
  if "vision" in streams:
    old, new = streams["vision"].config.image_size, config.vision.image_size
    if old != new:
      resized = f"position table resized from {old} to {new} pixels"
      info["notes"].append(f"vision: {resized}")
  return info


def _first(layers: str | None, name: str) -> int | None:
  """Returns N of "first:N"."""
  if layers is None:
    return None
  kind, _, number = layers.partition(":")
  if kind != "first" or not number.isdecimal():
    raise ValueError(f"{name}: want first:N, found {layers!r}")
  return int(number)


def _load_tokenizer(streams: Mapping[str, Stream]) -> Any:
  """Returns the text encoder's tokenizer, or None where it brings none."""
  if "text" not in streams or not streams["text"].source.has_tokenizer:
    return None
  # Loads transformers.
  from ifa_jax.data.text.tokenizer import Tokenizer

  return Tokenizer.load(streams["text"].source.folder)


def _join(
  streams: Mapping[str, Stream], rest: str | os.PathLike
) -> tuple[System, dict[str, np.ndarray], list[str] | None]:
  """Returns the model that was exported as these encoders and this rest."""
  config, arrays, relations = rests.read_rest(rest)
  for side, stream in streams.items():
    rests.check_same(config, side, stream.config, stream.source.folder)
  params = _merged(streams)
  expected = {
    path: shape
    for path, shape in parameters.param_shapes(config).items()
    if path not in params
  }
  rules = [Rule(path, path) for path in expected]
  joined = engine.convert(arrays, rules, expected, os.fspath(rest))
  flat: dict[str, Any] = traverse_util.flatten_dict(joined, sep="/")
  return config, params | flat, relations


def _start(
  streams: Mapping[str, Stream], tokenizer: Any, options: Options
) -> tuple[ModelConfig, dict[str, np.ndarray], list[str]]:
  """Returns a model's config, its parameters, and what of them is fresh."""
  config = model_config(streams, tokenizer, options)
  params = _merged(streams)
  if config.vision is not None and _POSITIONS in params:
    side = config.vision.image_size // config.vision.patch_size
    params[_POSITIONS] = resize_positions(params[_POSITIONS], side)
  return config, *initialize.complete(params, config, options.seed)


def _merged(streams: Mapping[str, Stream]) -> dict[str, np.ndarray]:
  return {
    path: array
    for stream in streams.values()
    for path, array in stream.params.items()
  }
