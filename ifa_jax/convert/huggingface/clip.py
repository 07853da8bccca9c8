"""`CLIPVisionModel` of transformers, alone or inside a `CLIPModel`."""

from typing import Any

import numpy as np

from ifa_jax.convert.huggingface import architecture, settings
from ifa_jax.convert.huggingface.architecture import Encoder
from ifa_jax.convert.huggingface.settings import Config, Read, Unused
from ifa_jax.convert.rules import PATCHES, Drop, Rule, linear, norm
from ifa_jax.models.config import VisionConfig

_PARTS = {"q_proj": "query", "k_proj": "key", "v_proj": "value"}
_PARTS["out_proj"] = "out"


def embedding_rules(name: str) -> list[Rule]:
  """Returns the rules of the embeddings, which DeepKE's file shares."""
  return [
    Rule(f"{name}.class_embedding", "visual/embed/class_token"),
    Rule(
      f"{name}.patch_embedding.weight", "visual/embed/patch/kernel", PATCHES
    ),
    Rule(f"{name}.position_embedding.weight", "visual/embed/position"),
  ]


def layer_rules(name: str) -> list[Rule]:
  """Returns the rules of the layers, which DeepKE's file shares."""
  path = "visual/layer_{n}"
  rules = []
  for theirs, ours in _PARTS.items():
    rules += linear(f"{name}.self_attn.{theirs}", f"{path}/attention/{ours}")
  return [
    *rules,
    *norm(f"{name}.layer_norm1", f"{path}/attention_norm"),
    *linear(f"{name}.mlp.fc1", f"{path}/mlp_in"),
    *linear(f"{name}.mlp.fc2", f"{path}/mlp_out"),
    *norm(f"{name}.layer_norm2", f"{path}/mlp_norm"),
  ]


RULES = [
  Drop("embeddings.position_ids", "a buffer that counts 0, 1, 2 ..."),
  Drop("post_layernorm.{any}", "nothing reads the class token"),
  *embedding_rules("embeddings"),
  # Misspelt so in transformers.
  *norm("pre_layrnorm", "visual/embed/norm"),
  *layer_rules("encoder.layers.{n}"),
]


SETTINGS: dict[str, settings.Setting] = {
  **settings.COMMON,
  **settings.SIZES,
  **settings.PICTURES,
  "attention_dropout": settings.NO_DROPOUT,
  "projection_dim": settings.HEAD,
  "initializer_factor": settings.INITIALISED,
}

_TEXT = Unused("of the text tower, which is not converted")
# A whole CLIPModel's file.
SECTIONS: dict[str, settings.Setting] = {
  **settings.COMMON,
  "text_config": _TEXT,
  "text_config_dict": _TEXT,
  "vision_config": Read(settings.section),
  "vision_config_dict": Read(settings.section),
  "projection_dim": settings.HEAD,
  "logit_scale_init_value": settings.HEAD,
  "initializer_factor": settings.INITIALISED,
}


def _section(config: Config) -> tuple[str, Config]:
  sections = settings.read(SECTIONS, config)
  # `CLIPConfig` has every field of the older section, and its defaults, replace
  # those of the newer one.
  if config.get("vision_config_dict") is not None:
    return "vision_config_dict", sections["vision_config_dict"]
  if "vision_config" in config or config.get("model_type") == "clip":
    return "vision_config", sections.get("vision_config", {})
  return "", config


def _read(config: Config) -> VisionConfig:
  config = {**_DEFAULTS, **settings.read(SETTINGS, config)}
  return VisionConfig(
    **architecture.picture_sizes(config),
    patch_bias=False,
    pre_norm=True,
    **architecture.sizes(config),
  )


def _write(config: VisionConfig) -> dict[str, Any]:
  return {
    "architectures": ["CLIPVisionModel"],
    "model_type": "clip_vision_model",
    "image_size": config.image_size,
    "patch_size": config.patch_size,
    **architecture.written_sizes(config),
  }


# Of a key that is missing, as in transformers.
_DEFAULTS = _write(VisionConfig())


def _unread(config: VisionConfig) -> dict[str, np.ndarray]:
  return architecture.blank_norm("post_layernorm", config.hidden_dim)


CLIP = Encoder(
  architecture="CLIPVisionModel",
  model_types=("clip_vision_model", "clip"),
  prefixes=("", "vision_model."),
  anchor="embeddings.class_embedding",
  rules=RULES,
  settings=SETTINGS,
  section=_section,
  read=_read,
  write=_write,
  unread=_unread,
)
