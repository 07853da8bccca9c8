"""`ViTModel` of transformers, alone or inside a `ViTFor...`."""

from typing import Any

import numpy as np

from ifa_jax.convert.huggingface import architecture, settings
from ifa_jax.convert.huggingface.architecture import Encoder
from ifa_jax.convert.huggingface.settings import Config, Only
from ifa_jax.convert.rules import (
  BATCH,
  BATCH_OF_ROWS,
  PATCHES,
  Drop,
  Rule,
  linear,
  norm,
)
from ifa_jax.models.config import VisionConfig

_LAYER, _PATH = "encoder.layer.{n}", "visual/layer_{n}"

RULES = [
  Drop("pooler.{any}", "nothing reads the class token"),
  Drop("layernorm.{any}", "nothing reads the last layer's output"),
  Drop("embeddings.mask_token", "no patch is masked"),
  Rule("embeddings.cls_token", "visual/embed/class_token", BATCH_OF_ROWS),
  Rule(
    "embeddings.patch_embeddings.projection.weight",
    "visual/embed/patch/kernel",
    PATCHES,
  ),
  Rule(
    "embeddings.patch_embeddings.projection.bias", "visual/embed/patch/bias"
  ),
  Rule("embeddings.position_embeddings", "visual/embed/position", BATCH),
  *(
    rule
    for part in ("query", "key", "value")
    for rule in linear(
      f"{_LAYER}.attention.attention.{part}", f"{_PATH}/attention/{part}"
    )
  ),
  *linear(f"{_LAYER}.attention.output.dense", f"{_PATH}/attention/out"),
  *norm(f"{_LAYER}.layernorm_before", f"{_PATH}/attention_norm"),
  *linear(f"{_LAYER}.intermediate.dense", f"{_PATH}/mlp_in"),
  *linear(f"{_LAYER}.output.dense", f"{_PATH}/mlp_out"),
  *norm(f"{_LAYER}.layernorm_after", f"{_PATH}/mlp_norm"),
]


SETTINGS: dict[str, settings.Setting] = {
  **settings.COMMON,
  **settings.SIZES,
  **settings.PICTURES,
  "qkv_bias": Only(True),
  "hidden_dropout_prob": settings.NO_DROPOUT,
  "attention_probs_dropout_prob": settings.NO_DROPOUT,
  "encoder_stride": settings.HEAD,
  "pooler_output_size": settings.HEAD,
  "pooler_act": settings.HEAD,
}


def _read(config: Config) -> VisionConfig:
  config = {**_DEFAULTS, **settings.read(SETTINGS, config)}
  return VisionConfig(
    **architecture.picture_sizes(config),
    patch_bias=True,
    pre_norm=False,
    **architecture.sizes(config),
  )


def _write(config: VisionConfig) -> dict[str, Any]:
  return {
    "architectures": ["ViTModel"],
    "model_type": "vit",
    "image_size": config.image_size,
    "patch_size": config.patch_size,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "qkv_bias": True,
    **architecture.written_sizes(config),
  }


# Of a key that is missing, as in transformers.
_DEFAULTS = _write(
  VisionConfig(patch_size=16, norm_epsilon=1e-12, activation="gelu")
)


def _unread(config: VisionConfig) -> dict[str, np.ndarray]:
  return {
    **architecture.blank_norm("layernorm", config.hidden_dim),
    **architecture.blank_linear("pooler.dense", config.hidden_dim),
  }


VIT = Encoder(
  architecture="ViTModel",
  model_types=("vit",),
  prefixes=("", "vit."),
  anchor="embeddings.cls_token",
  rules=RULES,
  settings=SETTINGS,
  section=architecture.whole_file,
  read=_read,
  write=_write,
  unread=_unread,
)
