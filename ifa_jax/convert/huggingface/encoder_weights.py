"""One encoder of `transformers` to one stream of the model."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from ifa_jax.convert import engine, pooler
from ifa_jax.convert import sources as source
from ifa_jax.convert.huggingface import processor, settings
from ifa_jax.convert.huggingface.architecture import Encoder
from ifa_jax.convert.huggingface.bert import BERT
from ifa_jax.convert.huggingface.clip import CLIP
from ifa_jax.convert.huggingface.vit import VIT
from ifa_jax.convert.sources import Source
from ifa_jax.models import parameters
from ifa_jax.models.config import ModelConfig, TextConfig, VisionConfig

ENCODERS = {"text": (BERT,), "vision": (CLIP, VIT)}
# Of the fields that two streams have in common, those that make them fit.
_SHARED = ("hidden_dim", "num_layers", "num_heads", "mlp_dim")
CROP_POSITIONS = (
  "visual/embed/grounded_position",
  "visual/embed/detected_position",
)


class Stream(NamedTuple):
  """A stream as its checkpoint gives it.

  Attributes:
    source: where it comes from.
    config: a `TextConfig` or `VisionConfig`.
    params: path -> float32 array.
    dropped: reason -> names of weights that were left behind.
    files: name of a file that was read -> its sha256.
    notes: sentences on what the checkpoint left open.
  """

  source: Source
  config: Any
  params: dict[str, np.ndarray]
  dropped: dict[str, list[str]]
  files: dict[str, str]
  notes: list[str]


def read_stream(
  id_or_dir: str | os.PathLike, side: str, num_layers: int | None = None
) -> Stream:
  """Reads an encoder.

  Args:
    id_or_dir: a folder or a hub id.
    side: "text" or "vision".
    num_layers: take so many of the first layers; None takes all.

  Raises:
    ValueError: for what is no such encoder, or a damaged one.
  """
  found = source.find(id_or_dir)
  encoder, config, notes = _read_config(found, side)
  paths = found.weight_files()
  arrays = {}
  for path in paths:
    arrays |= source.read_weights(path)
  own, dropped = _own(arrays, encoder, found)
  if num_layers is not None:
    config = _first_layers(config, num_layers, side)
    late = engine.beyond(own, encoder.rules, num_layers)
    dropped |= {f"layers from {num_layers} on": late} if late else {}
    own = {name: array for name, array in own.items() if name not in late}
  if side == "text":
    blank = pooler.blank_names(own)
    dropped |= {pooler.BLANK: blank} if blank else {}
    own = {name: array for name, array in own.items() if name not in blank}
  expected = _shapes(config, own)
  params = engine.convert(own, encoder.rules, expected, found.folder)
  flat: dict[str, Any] = traverse_util.flatten_dict(params, sep="/")
  return Stream(
    found,
    config,
    flat,
    dropped | engine.dropped(own, encoder.rules),
    {os.path.basename(path): source.sha256(path) for path in paths},
    notes,
  )


def beside(config: TextConfig | VisionConfig) -> Any:
  """Returns the default stream that fits another: its depth and width."""
  kind = VisionConfig if isinstance(config, TextConfig) else TextConfig
  return kind(**{name: getattr(config, name) for name in _SHARED})


def _choose(found: Source, config: Mapping[str, Any], side: str) -> Encoder:
  model_type = config.get("model_type")
  for encoder in ENCODERS[side]:
    if model_type in encoder.model_types:
      return encoder
  wanted = [kind for e in ENCODERS[side] for kind in e.model_types]
  raise ValueError(
    f"{found.folder}/config.json: want a {side} encoder, of model_type"
    f" {' or '.join(wanted)}, found model_type {model_type!r}"
  )


def _read_config(found: Source, side: str) -> tuple[Encoder, Any, list[str]]:
  """Returns a folder's architecture and config, and notes on them.

  Raises:
    ValueError: for settings that are not supported, naming file and key.
  """
  config_file = found.read_config()
  encoder = _choose(found, config_file, side)
  where = f"{found.folder}/config.json: "
  try:
    name, section = encoder.section(config_file)
    where += f"{name}: " if name else ""
    config = encoder.read(section)
  except ValueError as error:
    raise ValueError(f"{where}{error}") from None
  notes = settings.notes(encoder.settings, section)
  if side == "vision":
    config, more = processor.read(found, encoder.architecture, config)
    notes += more
  return encoder, config, notes


def _own(
  arrays: Mapping[str, np.ndarray], encoder: Encoder, found: Source
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
  """Returns an encoder's weights without their prefix, and what is not its."""
  prefix = next(
    (p for p in encoder.prefixes if p + encoder.anchor in arrays), None
  )
  if prefix is None:
    raise ValueError(
      f"{found.folder}: want the weights of a {encoder.architecture}, found no"
      f" {encoder.anchor} among {', '.join(sorted(arrays)[:4])} ..."
    )
  own, other = {}, []
  for name, array in arrays.items():
    if name.startswith(prefix):
      own[name.removeprefix(prefix)] = array
    else:
      other.append(name)
  reason = f"other parts than the {encoder.architecture}"
  return own, {reason: other} if other else {}


def _first_layers(config: Any, num_layers: int, side: str) -> Any:
  if not 1 <= num_layers <= config.num_layers:
    raise ValueError(
      f"{side}_layers: want 1 to {config.num_layers} of its layers, found"
      f" {num_layers}"
    )
  return dataclasses.replace(config, num_layers=num_layers)


def _shapes(
  config: TextConfig | VisionConfig, own: Mapping[str, np.ndarray]
) -> dict[str, tuple[int, ...]]:
  """Returns path -> shape of what an encoder brings, its pooler if it has one.

  Args:
    config: of the stream that it becomes.
    own: its weights, by their names.
  """
  if isinstance(config, TextConfig):
    model, root = ModelConfig(text=config, vision=None), "text/"
  else:
    model, root = ModelConfig(text=beside(config), vision=config), "visual/"
  shapes = {
    path: shape
    for path, shape in parameters.param_shapes(model).items()
    if path.startswith(root) and path not in CROP_POSITIONS
  }
  if isinstance(config, TextConfig) and f"{pooler.NAME}.weight" in own:
    shapes |= pooler.shapes(config.hidden_dim)
  return shapes
