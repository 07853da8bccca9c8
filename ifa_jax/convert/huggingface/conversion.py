"""Converts encoders of transformers to a model for fine-tuning.

Parameters that no encoder has - the four markers' rows of the word table, the
position tables of the crops, the relation head, an omitted stream - are
initialised as in a new run with the same seed.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from flax import traverse_util

from ifa_jax.cli.settings_flags import setting
from ifa_jax.convert import engine, initialize, sources, store
from ifa_jax.convert import options as convert_options
from ifa_jax.convert.engine import Rule
from ifa_jax.convert.huggingface import export
from ifa_jax.convert.huggingface.encoder_weights import (
  Stream,
  default_partner,
  read_stream,
)
from ifa_jax.convert.huggingface.encoders import MARKERS_KEY
from ifa_jax.convert.store import Converted
from ifa_jax.data.text import markers
from ifa_jax.files.shown import shown
from ifa_jax.models import parameters
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig
from ifa_jax.models.exchange import FUSIONS


@dataclasses.dataclass(frozen=True)
class Options(initialize.Options):
  """Settings that encoders do not determine."""

  vision_layers: str | None = setting(
    "first:N layers of the vision encoder.", None
  )
  text_layers: str | None = setting("first:N layers of the text encoder.", None)
  image_size: int | None = setting(
    "Side of a picture in pixels. If it is not the encoder's, the position"
    " table is resized.",
    None,
    least=1,
  )
  num_crops: int = setting("Slots for crops of each kind.", 3, least=1)
  fusion: str = setting(
    "paper: the paper's equations; released: as DeepKE computes it.",
    "paper",
    choices=[*FUSIONS],
  )


_DEFAULT = Options()


def from_huggingface(
  text: str | os.PathLike | None = None,
  vision: str | os.PathLike | None = None,
  rest: str | os.PathLike | None = None,
  **options: Any,
) -> tuple[ModelConfig, dict[str, Any]]:
  """Reads encoders of transformers, from folders or by their hub ids.

  A DINOv2 may also be an ONNX file.

  Args:
    text: a `BertModel`, also inside a `BertFor...`. If it is None, the text
      stream is initialised, with the vision encoder's depth and width.
    vision: a `CLIPVisionModel`, also inside a `CLIPModel`, or a `ViTModel` or
      `Dinov2Model`, also inside a `...For...`. If it is None, the vision stream
      is initialised.
    rest: the `rest.safetensors` of an export with these encoders. The result is
      the exported model, and there are no options.
    **options: settings that encoders do not determine, the flags of
      `convert huggingface`: image_size, num_crops, num_relations, fusion,
      text_layers, vision_layers and seed.

  Returns:
    The model's config and its float32 parameters, without BERT's pooler.

  Raises:
    ValueError: for encoders that are damaged, of another kind, or do not fit
      each other, naming the file, and for an invalid option.
  """
  read = convert_options.read(Options, options)
  converted = convert(text, vision, rest, read)
  converted.params.pop(store.POOLER, None)
  return cast(ModelConfig, converted.model_config), converted.params


def convert(
  text: str | os.PathLike | None = None,
  vision: str | os.PathLike | None = None,
  rest: str | os.PathLike | None = None,
  options: Options = _DEFAULT,
) -> Converted:
  """Does the same as `from_huggingface`, with the pooler and provenance."""
  if text is None and vision is None:
    raise ValueError("expected text, vision or both, got neither")
  if rest is not None and options != _DEFAULT:
    raise ValueError(
      f"{rest}: holds the model's whole config; leave out the other settings"
    )
  streams = {}
  for side, encoder in (("text", text), ("vision", vision)):
    layers = getattr(options, f"{side}_layers")
    if encoder is not None:
      streams[side] = read_stream(encoder, side, layers, options.image_size)
    elif layers is not None:
      raise ValueError(f"{side}_layers: expected a {side} encoder, got none")
  tokenizer = None
  if text is not None and streams["text"].source.has_tokenizer:
    # Loads transformers.
    from ifa_jax.data.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(streams["text"].source.folder)
  info = store.make_info("huggingface")
  params: dict[str, np.ndarray] = {}
  for side, stream in streams.items():
    params |= stream.params
    info["sources"][side] = stream.record
    info["dropped"][side] = stream.dropped
    info["notes"] += [f"{side}: {note}" for note in stream.notes]
  if rest is None:
    if text is not None and tokenizer is None:
      info["notes"].append(
        "text: no tokenizer.json or vocab.txt: the tokenizer of a dataset is"
        " not checked"
      )
    config = model_config(streams, tokenizer, options)
    params, info["initialised"] = initialize.complete(
      params, config, options.seed
    )
  else:
    rest = os.fspath(rest)
    config, params, info["relations"] = _join(streams, params, rest)
    info["sources"]["rest"] = sources.record(rest, [rest])
  nested = traverse_util.unflatten_dict(params, sep="/")
  return Converted(config, nested, info, tokenizer)


def _join(
  streams: Mapping[str, Stream], params: dict[str, np.ndarray], rest: str
) -> tuple[System, dict[str, np.ndarray], list[str] | None]:
  """Returns config, parameters and relations of an exported model."""
  config, arrays, relations = export.read_rest(rest)
  for side, stream in streams.items():
    _check_same(config, side, stream)
  expected = {
    path: shape
    for path, shape in parameters.param_shapes(config).items()
    if path not in params
  }
  rules = [Rule(path, path) for path in expected]
  joined = engine.convert(arrays, rules, expected, rest)
  return config, params | joined, relations


def _check_same(config: System, side: str, stream: Stream) -> None:
  """Raises ValueError unless an encoder is that of an export's config."""
  folder, expected = stream.source.folder, getattr(config, side)
  if expected is None:
    raise ValueError(f"{folder}: expected no {side} encoder, as in the rest")
  for name, value in dataclasses.asdict(expected).items():
    # An encoder's files do not mention crops.
    found = getattr(stream.config, name)
    if found != value and "crop" not in name:
      raise ValueError(
        f"{folder}: expected {name} {value!r} as in the rest, got {found!r}"
      )


def model_config(
  streams: Mapping[str, Stream], tokenizer: Any, options: Options
) -> ModelConfig:
  """Returns the config of the model that encoders form.

  Raises:
    ValueError: for encoders of different depths or widths, naming both,
      markers that are no ids, or a tokenizer of more tokens than word vectors.
  """
  if len(streams) == 2:
    _check_fit(**streams)
  configs = {side: stream.config for side, stream in streams.items()}
  if "text" in streams:
    rows = vocabulary_rows(streams["text"], tokenizer)
    configs["text"] = dataclasses.replace(configs["text"], vocab_size=rows)
  text = configs.get("text") or default_partner(configs["vision"])
  vision = configs.get("vision") or default_partner(configs["text"])
  vision = dataclasses.replace(
    vision,
    num_crops=options.num_crops,
    image_size=options.image_size or vision.image_size,
  )
  return ModelConfig(
    text, vision, options.fusion, num_relations=options.num_relations
  )


def vocabulary_rows(text: Stream, tokenizer: Any) -> int:
  """Returns the rows of the word table, including the markers'.

  The markers follow the tokenizer's last id. A larger table keeps its rows.
  """
  rows, count = text.config.vocab_size, len(markers.MARKERS)
  tokens = 0 if tokenizer is None else tokenizer.vocab_size - count
  if tokens > rows:
    raise ValueError(
      f"{text.source.folder}: expected a tokenizer of at most {rows} tokens, as"
      f" the word table has, got {tokens}"
    )
  marked = text.source.read_config().get(MARKERS_KEY)
  if marked is not None:
    first = marked[0] if isinstance(marked, list) and marked else None
    if type(first) is not int or marked != [*range(first, first + count)]:
      raise ValueError(
        f"{text.source.folder}/config.json: {MARKERS_KEY}: expected {count} ids"
        f" in a row, got {shown(marked)}"
      )
    return max(rows, first + count)
  return max(rows, tokens + count) if tokens else rows + count


def _check_fit(text: Stream, vision: Stream) -> None:
  for field, quantity in (("hidden_dim", "width"), ("num_layers", "depth")):
    found, other = getattr(text.config, field), getattr(vision.config, field)
    if found == other:
      continue
    advice = "choose encoders of one width"
    if field == "num_layers":
      deeper = "vision" if found < other else "text"
      advice = (
        f"shorten one with {deeper}_layers=first:{min(found, other)} of python"
        " -m ifa_jax.convert huggingface"
      )
    raise ValueError(
      f"expected encoders of one {quantity}, since they attend to each other"
      f" layer by layer; got {found} in {text.source.name} and {other} in"
      f" {vision.source.name}: {advice}"
    )
