"""Writes a model as two encoders of transformers.

    text/              BertModel, its vocabulary with the four markers, and the
                       tokenizer that gives their ids, if there is one
    vision/            CLIPVisionModel or ViTModel, if the model has pictures
    rest.safetensors   all other parameters, see `leftover_weights`

Weights of the classes that no model here reads are blank. The encoders alone do
not compute the same as the model, where they attend to each other.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import traverse_util

from ifa_jax.convert import engine, store
from ifa_jax.convert.huggingface import leftover_weights, processor
from ifa_jax.convert.huggingface.assemble import MARKERS_KEY
from ifa_jax.convert.huggingface.encoder_weights import CROP_POSITIONS
from ifa_jax.convert.huggingface.encoders import BERT, CLIP, VIT, Encoder
from ifa_jax.data.text import markers
from ifa_jax.files import whole
from ifa_jax.models.config import ModelConfig, VisionConfig


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
    text_folder = os.path.join(partial, "text")
    marked = {MARKERS_KEY: ids}
    _write_encoder(text_folder, BERT, config.text, parts["text"], marked)
    if tokenizer is not None:
      tokenizer.save_with_markers(text_folder)
    if vision and encoder:
      vision_folder = os.path.join(partial, "vision")
      _write_encoder(vision_folder, encoder, vision, parts["visual"], {})
      path = os.path.join(vision_folder, processor.FILE)
      store.write_json(path, processor.write(vision))
    path = os.path.join(partial, leftover_weights.FILE)
    leftover_weights.write_rest(path, config, parts[""], relations)


def _vision_encoder(config: VisionConfig) -> Encoder:
  found = (config.pre_norm, config.patch_bias)
  for encoder, expected in ((CLIP, (True, False)), (VIT, (False, True))):
    if found == expected:
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
    weights | encoder.unread(config),
    os.path.join(folder, "model.safetensors"),
    # transformers refuses files without it.
    {"format": "pt"},
  )
  path = os.path.join(folder, "config.json")
  store.write_json(path, {**encoder.write(config), **extra})
