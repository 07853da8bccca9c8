"""DeepKE's `best_model.pth` (zjunlp/DeepKE@4b27718) to this model's parameters.

Its names are those of `IFA_model.py` and `modeling_IFA.py`; sizes are read off
the arrays, all but the head count, which no array shows.
"""

import math
import os
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from ifa_jax.convert import engine, sources
from ifa_jax.convert.huggingface import bert, clip
from ifa_jax.convert.rules import Drop, Rule, linear, norm
from ifa_jax.convert.store import Converted, make_info
from ifa_jax.files import torch_file
from ifa_jax.models import parameters
from ifa_jax.models.config import ModelConfig, TextConfig, VisionConfig

_VISUAL = "model.vision_embeddings"

RULES = [
  Drop("model.{any}position_ids", "buffers that count 0, 1, 2 ..."),
  Drop("model.text_pooler.{any}", "the relation head reads the markers"),
  Drop("model.vision_post_layernorm.{any}", "nothing reads the class token"),
  *bert.embedding_rules("model.text_embeddings"),
  *bert.layer_rules("model.encoder.text_layer.{n}"),
  *clip.embedding_rules(_VISUAL),
  Rule(
    f"{_VISUAL}.aux_position_embedding.weight", "visual/embed/grounded_position"
  ),
  Rule(
    f"{_VISUAL}.rcnn_position_embedding.weight",
    "visual/embed/detected_position",
  ),
  *norm("model.vision_pre_layrnorm", "visual/embed/norm"),
  *clip.layer_rules("model.encoder.vision_layers.{n}"),
  *linear("classifier", "relation_head"),
]


def from_deepke(
  checkpoint: str | os.PathLike,
  num_heads: int = 12,
  fusion: str = "released",
) -> tuple[ModelConfig, dict[str, Any]]:
  """Reads a checkpoint that DeepKE's `run.py` saved.

  Args:
    checkpoint: `best_model.pth`. Nothing in it is executed.
    num_heads: of both streams; 12 for BERT-base and ViT-B/32.
    fusion: "released" gives DeepKE's logits; "paper" reads the same weights
      by the paper's equations.

  Returns:
    The model's config and its float32 parameters.

  Raises:
    ValueError: for a damaged file, one that holds anything but tensors, or
      names and shapes that are not DeepKE's; all are listed.
  """
  converted = convert(checkpoint, num_heads, fusion)
  return cast(ModelConfig, converted.model_config), converted.params


def convert(
  checkpoint: str | os.PathLike, num_heads: int, fusion: str
) -> Converted:
  """Does what `from_deepke` does, and tells where all comes from."""
  arrays = torch_file.load(checkpoint)
  if not sources.is_state_dict(arrays):
    raise ValueError(
      f"{checkpoint}: want a state dict of tensors, found"
      f" {type(arrays).__name__}"
    )
  config = read_sizes(arrays, num_heads, fusion, checkpoint)
  expected = parameters.param_shapes(config)
  params = engine.convert(arrays, RULES, expected, str(checkpoint))
  info = make_info("deepke")
  info["sources"]["checkpoint"] = {
    "name": os.fspath(checkpoint),
    "files": {
      os.path.basename(checkpoint): sources.sha256(os.fspath(checkpoint))
    },
  }
  info["dropped"]["checkpoint"] = engine.dropped(arrays, RULES)
  return Converted(config, params, info)


def read_sizes(
  arrays: Mapping[str, np.ndarray],
  num_heads: int,
  fusion: str,
  checkpoint: str | os.PathLike,
) -> ModelConfig:
  """Reads a model's sizes off the shapes of DeepKE's arrays.

  Raises:
    ValueError: for an array that is missing or no matrix, naming it.
  """
  shape = lambda name: sources.matrix_shape(arrays, name, checkpoint)  # noqa: E731
  visual = "model.vision_embeddings."
  vocab_size, dim = shape("model.text_embeddings.word_embeddings.weight")
  patch = arrays.get(visual + "patch_embedding.weight")
  if patch is None or patch.ndim != 4:
    raise ValueError(
      f"{checkpoint}: {visual}patch_embedding.weight: want an array"
      f" [D, 3, patch, patch], found"
      f" {'nothing' if patch is None else patch.shape}"
    )
  side = math.isqrt(shape(visual + "position_embedding.weight")[0] - 1)
  crops = shape(visual + "aux_position_embedding.weight")[0]
  shared: dict[str, Any] = {
    "hidden_dim": dim,
    "num_heads": num_heads,
    "num_layers": sum("attention.self.query.weight" in name for name in arrays),
  }
  width = lambda name: shape(f"model.encoder.{name}.weight")[0]  # noqa: E731
  return ModelConfig(
    text=TextConfig(
      vocab_size=vocab_size,
      max_len=shape("model.text_embeddings.position_embeddings.weight")[0],
      num_token_types=shape(
        "model.text_embeddings.token_type_embeddings.weight"
      )[0],
      mlp_dim=width("text_layer.0.intermediate.dense"),
      **shared,
    ),
    vision=VisionConfig(
      image_size=side * patch.shape[-1],
      patch_size=patch.shape[-1],
      num_crops=crops // 16,
      mlp_dim=width("vision_layers.0.mlp.fc1"),
      **shared,
    ),
    fusion=fusion,
    num_relations=shape("classifier.weight")[0],
  )
