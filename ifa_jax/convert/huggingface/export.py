"""A model's parameters as two encoders of `transformers`.

    text/              BertModel, its vocabulary with the four markers, and the
                       tokenizer, where there is one, that gives their ids
    vision/            CLIPVisionModel or ViTModel; not for a text model
    rest.safetensors   all that neither has a place for, see `rest`

Weights that the classes have and no model here reads are there as they start.
What the encoders alone compute is not what the model computes: there they do
not read each other.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import traverse_util

from ifa_jax.convert import engine
from ifa_jax.convert.huggingface import processor
from ifa_jax.convert.huggingface.architecture import Encoder
from ifa_jax.convert.huggingface.assemble import MARKERS_KEY
from ifa_jax.convert.huggingface.bert import BERT
from ifa_jax.convert.huggingface.clip import CLIP
from ifa_jax.convert.huggingface.encoder_weights import CROP_POSITIONS
from ifa_jax.convert.huggingface.leftover_weights import FILE, write_rest
from ifa_jax.convert.huggingface.vit import VIT
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
  """Writes a folder with both encoders and the rest, whole or not at all.

  Args:
    folder: new or empty.
    config: the model's.
    params: nested dicts of arrays.
    tokenizer: a `Tokenizer`, or None.
    relations: names by id, where they are known.

  Raises:
    ValueError: for a visual stream that is neither CLIP's nor ViT's, or if
      there is something in the folder.
  """
  flat: dict[str, Any] = traverse_util.flatten_dict(params, sep="/")
  rest = {path: np.asarray(array) for path, array in flat.items()}
  take = lambda root: {  # noqa: E731
    path: rest.pop(path)
    for path in [*rest]
    if path.startswith(root) and path not in CROP_POSITIONS
  }
  vision = config.vision
  encoder = vision and _vision_encoder(vision)
  with whole.folder(folder) as partial:
    text_folder = os.path.join(partial, "text")
    marked = {MARKERS_KEY: _marker_ids(config, tokenizer)}
    _write_encoder(text_folder, BERT, config.text, take("text/"), marked)
    if tokenizer is not None:
      tokenizer.save_with_markers(text_folder)
    if vision and encoder:
      vision_folder = os.path.join(partial, "vision")
      _write_encoder(vision_folder, encoder, vision, take("visual/"), {})
      _write_json(vision_folder, processor.FILE, processor.write(vision))
    write_rest(os.path.join(partial, FILE), config, rest, relations)


def _vision_encoder(config: VisionConfig) -> Encoder:
  """Returns the architecture that a visual stream is."""
  found = (config.pre_norm, config.patch_bias)
  for encoder, wanted in ((CLIP, (True, False)), (VIT, (False, True))):
    if found == wanted:
      return encoder
  raise ValueError(
    "cannot express as an encoder of transformers: want (pre_norm, patch_bias)"
    f" of CLIP, (True, False), or of ViT, (False, True), found {found}"
  )


def _marker_ids(config: ModelConfig, tokenizer: Any) -> list[int]:
  """Returns the markers' ids: the tokenizer's last, or else the table's."""
  size = config.text.vocab_size if tokenizer is None else tokenizer.vocab_size
  return list(range(size - len(markers.MARKERS), size))


def _write_encoder(
  folder: str,
  encoder: Encoder,
  config: Any,
  params: Mapping[str, np.ndarray],
  extra: Mapping[str, Any],
) -> None:
  import safetensors.numpy

  os.makedirs(folder)
  nested = traverse_util.unflatten_dict(params, sep="/")
  weights = engine.restore(nested, encoder.rules, encoder.architecture)
  safetensors.numpy.save_file(
    weights | encoder.unread(config),
    os.path.join(folder, "model.safetensors"),
    # transformers refuses a file that does not say so.
    {"format": "pt"},
  )
  _write_json(folder, "config.json", {**encoder.write(config), **extra})


def _write_json(folder: str, name: str, value: Any) -> None:
  path = os.path.join(folder, name)
  with open(path, "w", encoding="utf-8") as file:
    json.dump(value, file, indent=2)
    file.write("\n")
