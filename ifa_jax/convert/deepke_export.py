"""A model's parameters as DeepKE's `best_model.pth`."""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ifa_jax.convert import deepke, engine
from ifa_jax.convert.huggingface import architecture
from ifa_jax.files import torch_save
from ifa_jax.models.config import ModelConfig

# Settings of training, which no file of weights holds.
_FREE = ("dropout_rate", "attention_dropout_rate", "crop_position_stddev")


def export_deepke(
  path: str | os.PathLike, config: ModelConfig, params: Mapping[str, Any]
) -> None:
  """Writes a file that DeepKE and `from_deepke` load.

  The weights that DeepKE has and never reads are there as they start: a norm
  that changes nothing, a pooler of zeros. The file holds no head count and no
  fusion.

  Args:
    path: of the file, which takes its place when all is written.
    config: the model's.
    params: nested dicts of arrays.

  Raises:
    ValueError: for a model that DeepKE's code cannot be, with what differs.
  """
  if config.vision is None:
    raise ValueError(
      "cannot express as DeepKE's file: want both streams, found a text model"
    )
  tensors = engine.restore(params, deepke.RULES, "DeepKE's file")
  read = deepke.read_sizes(tensors, config.text.num_heads, config.fusion, path)
  problems = [*_differences("text", config, read)]
  problems += _differences("vision", config, read)
  if problems:
    raise ValueError(
      "cannot express as DeepKE's file:\n  " + "\n  ".join(problems)
    )
  path = os.path.abspath(path)
  os.makedirs(os.path.dirname(path), exist_ok=True)
  partial = f"{path}.partial"
  try:
    torch_save.save(partial, tensors | _unread(config))
    os.replace(partial, path)
  finally:
    if os.path.exists(partial):
      os.remove(partial)


def _differences(
  side: str, config: ModelConfig, read: ModelConfig
) -> Iterator[str]:
  """Yields what would be another stream when it is read back."""
  ours, theirs = getattr(config, side), getattr(read, side)
  for field in dataclasses.fields(ours):
    want, found = getattr(theirs, field.name), getattr(ours, field.name)
    if want != found and field.name not in _FREE:
      yield f"{side}.{field.name}: want {want!r}, found {found!r}"


def _unread(config: ModelConfig) -> dict[str, np.ndarray]:
  """Returns what DeepKE's model has beside: unread weights, and buffers."""
  vision: Any = config.vision  # `export_deepke` refuses text models.
  width = config.text.hidden_dim
  patches = (vision.image_size // vision.patch_size) ** 2
  buffers = {
    "vision_embeddings.position_ids": 1 + patches,
    "vision_embeddings.aux_position_ids": 16 * vision.num_crops,
    "vision_embeddings.rcnn_position_ids": 4 * vision.num_crops,
    "text_embeddings.position_ids": config.text.max_len,
  }
  return {
    **architecture.blank_norm("model.vision_post_layernorm", width),
    **architecture.blank_linear("model.text_pooler.dense", width),
    **{f"model.{name}": np.arange(n)[None] for name, n in buffers.items()},
  }
