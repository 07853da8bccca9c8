"""Writes a model as two encoders of transformers, and reads the rest of it.

    text/              BertModel, its vocabulary with the four markers, and the
                       tokenizer that gives their ids, if there is one
    vision/            CLIPVisionModel or ViTModel, if the model has pictures
    rest.safetensors   all other parameters by path, such as the relation head;
                       its metadata has the model's config, and the names of the
                       head's relations if they are known

The three convert back to the same model. Weights of the classes that no model
here reads are blank. On their own, the encoders do not attend to each other as
in the model.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import traverse_util

from ifa_jax.convert import engine, sources, store
from ifa_jax.convert.huggingface import processor
from ifa_jax.convert.huggingface.encoder import Encoder
from ifa_jax.convert.huggingface.encoder_weights import CROP_POSITIONS
from ifa_jax.convert.huggingface.encoders import BERT, ENCODERS, MARKERS_KEY
from ifa_jax.data.text import markers
from ifa_jax.files import json_file, whole
from ifa_jax.files.shown import shown
from ifa_jax.models import registry
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig, VisionConfig

REST = "rest.safetensors"
_MODEL, _RELATIONS = "ifa_jax.model", "ifa_jax.relations"


def export_huggingface(
  folder: str | os.PathLike,
  config: ModelConfig,
  params: Mapping[str, Any],
  tokenizer: Any = None,
  relations: Sequence[str] | None = None,
) -> None:
  """Writes a folder with both encoders and the rest, complete or not at all.

  Args:
    folder: new or empty.
    config: the model's.
    params: nested dicts of arrays.
    tokenizer: a `Tokenizer`, or None.
    relations: names by id, if they are known.

  Raises:
    ValueError: for a visual stream that is neither CLIP's nor ViT's, or if
      there is something in the folder.
  """
  import safetensors.numpy

  flat: dict[str, Any] = traverse_util.flatten_dict(params, sep="/")
  parts: dict[str, dict[str, np.ndarray]] = {"text": {}, "visual": {}, "": {}}
  for path, array in flat.items():
    root = "" if path in CROP_POSITIONS else path.split("/")[0]
    parts[root if root in parts else ""][path] = np.asarray(array)
  vision = config.vision
  encoder = vision and _vision_encoder(vision)
  # The markers have the tokenizer's last ids, or else the table's last rows.
  size = config.text.vocab_size if tokenizer is None else tokenizer.vocab_size
  ids = list(range(size - len(markers.MARKERS), size))
  with whole.folder(folder) as partial:
    out = os.path.join(partial, "text")
    _write_encoder(out, BERT, config.text, parts["text"], {MARKERS_KEY: ids})
    if tokenizer is not None:
      tokenizer.save_with_markers(out)
    if vision and encoder:
      out = os.path.join(partial, "vision")
      _write_encoder(out, encoder, vision, parts["visual"], {})
      path = os.path.join(out, processor.FILE)
      json_file.write(path, processor.write(vision))
    metadata = {_MODEL: json.dumps(registry.to_dict(config))}
    if relations is not None:
      metadata[_RELATIONS] = json.dumps([*relations], ensure_ascii=False)
    path = os.path.join(partial, REST)
    safetensors.numpy.save_file(parts[""], path, metadata)


def _vision_encoder(config: VisionConfig) -> Encoder:
  found = (config.pre_norm, config.patch_bias)
  for encoder in ENCODERS["vision"]:
    if (encoder.default.pre_norm, encoder.default.patch_bias) == found:
      return encoder
  raise ValueError(
    "cannot express as an encoder of transformers: expected (pre_norm,"
    " patch_bias) of CLIP, (True, False), or of ViT, (False, True), got"
    f" {found}"
  )


def _write_encoder(
  folder: str,
  encoder: Encoder,
  config: Any,
  params: Mapping[str, np.ndarray],
  extra: Mapping[str, Any],
) -> None:
  import safetensors.numpy

  os.makedirs(folder)
  weights = engine.restore(params, encoder.rules, encoder.architecture)
  safetensors.numpy.save_file(
    weights | engine.blank(encoder.unread, config.hidden_dim),
    os.path.join(folder, "model.safetensors"),
    # transformers refuses files without it.
    {"format": "pt"},
  )
  path = os.path.join(folder, "config.json")
  json_file.write(path, {**encoder.write(config), **extra})


def read_rest(
  path: str | os.PathLike,
) -> tuple[System, dict[str, np.ndarray], list[str] | None]:
  """Reads the config, parameters and relations of an export.

  Raises:
    ValueError: if it is another file, or missing, naming it.
  """
  import safetensors

  path = os.fspath(path)
  arrays = sources.read_weights(path)
  with safetensors.safe_open(path, "numpy") as file:
    metadata = file.metadata() or {}
  if _MODEL not in metadata:
    raise ValueError(
      f"{path}: expected the {REST} of an export, got no {_MODEL} in its"
      " metadata"
    )
  settings = json_file.parse(metadata[_MODEL], path)
  config = store.read_system(settings, f"{path}: {_MODEL}")
  relations = json_file.parse(metadata.get(_RELATIONS, "null"), path)
  if not isinstance(relations, list | None):
    raise ValueError(
      f"{path}: {_RELATIONS}: expected a list of names, got {shown(relations)}"
    )
  return config, arrays, relations
