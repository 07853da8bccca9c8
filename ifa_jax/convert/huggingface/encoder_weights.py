"""Reads an encoder of transformers as a stream of the model."""

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.convert import engine, sources, store
from ifa_jax.convert.huggingface import processor
from ifa_jax.convert.huggingface.encoder import Encoder
from ifa_jax.convert.huggingface.encoders import ENCODERS, POOLER_NAME
from ifa_jax.convert.huggingface.positions import resize_positions
from ifa_jax.convert.sources import Source
from ifa_jax.files.shown import shown
from ifa_jax.models import parameters
from ifa_jax.models.config import ModelConfig, TextConfig, VisionConfig

# Fields that two streams must agree on.
_SHARED = ("hidden_dim", "num_layers", "num_heads", "mlp_dim")
_POSITIONS = "visual/embed/position"
CROP_POSITIONS = (
  "visual/embed/grounded_position",
  "visual/embed/detected_position",
)


class Stream(NamedTuple):
  """A stream and its checkpoint."""

  source: Source
  config: Any  # A `TextConfig` or `VisionConfig`.
  params: dict[str, np.ndarray]  # Path -> float32 array.
  dropped: dict[str, list[str]]  # Reason -> names that are not converted.
  record: dict[str, Any]  # See `sources.record`.
  notes: list[str]  # Sentences on the checkpoint's settings.


def read_stream(
  id_or_dir: str | os.PathLike,
  side: str,
  layers: str | None = None,
  image_size: int | None = None,
) -> Stream:
  """Reads an encoder.

  Args:
    id_or_dir: a folder, a hub id, or the ONNX file of a DINOv2.
    side: "text" or "vision".
    layers: "first:N" reads only the first N layers.
    image_size: side of a picture in pixels, if it is not the encoder's.

  Raises:
    ValueError: if it is no such encoder, or damaged, or for a size that is no
      multiple of its patches.
  """
  source = sources.find(id_or_dir)
  encoder, config, notes = _read_config(source, side)
  paths = source.weight_files()
  weights = {}
  for path in paths:
    weights |= sources.read_weights(path)
  weights, others = _own_weights(weights, encoder, source)
  unused = {f"other parts than the {encoder.architecture}": others}
  if layers is not None:
    found = re.fullmatch(r"first:(\d+)", layers, re.ASCII)
    num_layers = int(found[1]) if found else 0
    if not 1 <= num_layers <= config.num_layers:
      raise ValueError(
        f"{side}_layers: expected first:N, N from 1 to {config.num_layers}, got"
        f" {layers!r}"
      )
    config = dataclasses.replace(config, num_layers=num_layers)
    late = [
      name
      for name in weights
      if engine.layer_number(encoder.rules, name) >= num_layers
    ]
    unused[f"layers from {num_layers} on"] = late
    weights = {name: x for name, x in weights.items() if name not in late}
  pooler = [name for name in weights if name.startswith(f"{POOLER_NAME}.")]
  if side == "text" and not any(weights[name].any() for name in pooler):
    unused["all 0, as in an export of a model without a pooler"] = pooler
    weights = {name: x for name, x in weights.items() if name not in pooler}
  expected = _expected_shapes(config, weights)
  params = engine.convert(weights, encoder.rules, expected, source.folder)
  unused |= engine.dropped(weights, encoder.rules)
  dropped = {reason: names for reason, names in unused.items() if names}
  record = sources.record(source.name, paths)
  stream = Stream(source, config, params, dropped, record, notes)
  if side == "vision":
    return _for_pictures(stream, encoder, image_size)
  return stream


def _for_pictures(
  stream: Stream, encoder: Encoder, image_size: int | None
) -> Stream:
  """Returns a visual stream for pictures of the processor, or of a size."""
  config, notes = processor.read(
    stream.source, encoder.architecture, stream.config
  )
  old, new = stream.config.image_size, image_size or config.image_size
  side, rest = divmod(new, config.patch_size)
  if rest:
    raise ValueError(
      f"{stream.source.folder}: image_size: expected a multiple of patch_size"
      f" {config.patch_size}, got {new}"
    )
  table = resize_positions(stream.params[_POSITIONS], side)
  if old != new:
    notes.append(f"position table resized from {old} to {new} pixels")
  return stream._replace(
    config=dataclasses.replace(config, image_size=new),
    params=stream.params | {_POSITIONS: table},
    notes=stream.notes + notes,
  )


def default_partner(config: TextConfig | VisionConfig) -> Any:
  """Returns the default config of the other stream, of the same sizes."""
  kind = VisionConfig if isinstance(config, TextConfig) else TextConfig
  return kind(**{name: getattr(config, name) for name in _SHARED})


def _read_config(source: Source, side: str) -> tuple[Encoder, Any, list[str]]:
  """Returns a folder's architecture, its config, and notes on it."""
  config_file = source.read_config()
  where = f"{source.folder}/config.json: "
  known = {kind: e for e in ENCODERS[side] for kind in e.model_types}
  model_type = config_file.get("model_type")
  if not isinstance(model_type, str) or model_type not in known:
    raise ValueError(
      f"{where}expected a {side} encoder, of model_type {' or '.join(known)},"
      f" got model_type {model_type!r}"
    )
  encoder = known[model_type]
  try:
    name, section = encoder.find_section(config_file)
    where += f"{name}: " if name else ""
    config = encoder.read(section)
  except ValueError as error:
    raise ValueError(f"{where}{error}") from None
  notes = [
    f"{key} {shown(section[key])}: the visual stream is trained without dropout"
    for key in encoder.ignored_dropout
    if section.get(key) not in (None, 0)
  ]
  return encoder, config, notes


def _own_weights(
  weights: Mapping[str, np.ndarray], encoder: Encoder, source: Source
) -> tuple[dict[str, np.ndarray], list[str]]:
  """Returns an encoder's weights for its rules, and other parts' names."""
  for prefix in encoder.prefixes:
    if prefix + encoder.anchor in weights:
      own = {
        name.removeprefix(prefix): array
        for name, array in weights.items()
        if name.startswith(prefix)
      }
      others = [name for name in weights if not name.startswith(prefix)]
      try:
        return encoder.prepare(own), others
      except ValueError as error:
        raise ValueError(f"{source.folder}: {error}") from None
  raise ValueError(
    f"{source.folder}: expected the weights of a {encoder.architecture}, got no"
    f" {encoder.anchor} among {', '.join(sorted(weights)[:4])} ..."
  )


def _expected_shapes(
  config: TextConfig | VisionConfig, weights: Mapping[str, np.ndarray]
) -> dict[str, tuple[int, ...]]:
  """Returns path -> shape of a stream, and of the pooler if there is one."""
  root, model = "text/", {"text": config, "vision": None}
  if isinstance(config, VisionConfig):
    root, model = "visual/", {"text": default_partner(config), "vision": config}
  shapes = {
    path: shape
    for path, shape in parameters.param_shapes(ModelConfig(**model)).items()
    if path.startswith(root) and path not in CROP_POSITIONS
  }
  if root == "text/" and f"{POOLER_NAME}.weight" in weights:
    shapes |= store.pooler_shapes(config.hidden_dim)
  return shapes
