"""Rows of result tables as models, named as in config files."""

import dataclasses
from typing import Any

from ifa_jax.models.base import System
from ifa_jax.models.baselines.bert import BertConfig
from ifa_jax.models.baselines.mega import MEGAConfig
from ifa_jax.models.baselines.pcnn import PCNNConfig
from ifa_jax.models.baselines.vilbert import ViLBERTConfig
from ifa_jax.models.config import ModelConfig, VisionConfig
from ifa_jax.models.ifaformer.caption import CaptionConfig
from ifa_jax.models.successors.hvformer import HVFormerConfig
from ifa_jax.models.successors.mkgformer import MKGformerConfig
from ifa_jax.models.successors.pyramid import HVPNeTConfig

# Config class of each row, and the fields that differ from its defaults.
IFAFORMERS: dict[str, tuple[type[System], dict[str, Any]]] = {
  "objects": (ModelConfig, {}),
  "vanilla": (ModelConfig, {"use_objects": False}),
  "no_text_attention": (
    ModelConfig,
    {"use_objects": False, "text_attention": False},
  ),
  "text": (ModelConfig, {"vision": None}),
  "ifaformer_caption": (CaptionConfig, {}),
}
BASELINES: dict[str, tuple[type[System], dict[str, Any]]] = {
  "pcnn": (PCNNConfig, {}),
  "bert": (BertConfig, {"pooling": "cls"}),
  "mtb": (BertConfig, {}),
  "caption": (BertConfig, {"caption": True}),
  "bert_sg": (MEGAConfig, {"structural": False, "semantic": False}),
  "bert_sg_att": (MEGAConfig, {"structural": False}),
  "vilbert": (ViLBERTConfig, {}),
  "mega": (MEGAConfig, {}),
  "mega_released": (MEGAConfig, {"variant": "released"}),
}
SUCCESSORS: dict[str, tuple[type[System], dict[str, Any]]] = {
  "mkgformer": (MKGformerConfig, {}),
  "mkgformer_released": (MKGformerConfig, {"variant": "released"}),
  "hvformer": (HVFormerConfig, {}),
  "hvpnet": (HVPNeTConfig, {}),
  "hvpnet_released": (HVPNeTConfig, {"variant": "released"}),
}
ROWS = IFAFORMERS | BASELINES | SUCCESSORS
# Systems with the same stream of pixels: ViT, and two tables of crops.
OF_PIXELS = {
  kind.system
  for kind, _ in ROWS.values()
  if isinstance(kind().vision, VisionConfig)
}


def make(name: str, **shared: Any) -> System:
  """Returns the model of a row.

  Args:
    name: a key of `ROWS`.
    **shared: fields shared by several rows, such as `text`. Those that this
      row's config does not have, or that define the row, are ignored.

  Raises:
    ValueError: for settings that the model's config rejects.
  """
  kind, fields = ROWS[name]
  known = {field.name for field in dataclasses.fields(kind)}
  given = {key: value for key, value in shared.items() if key in known}
  return kind(**given | fields)


def name_of(config: System) -> str:
  """Returns the row of a model of any size.

  If several rows match, the one with the most defining fields.
  """
  # Its other settings are those of a vision stream that it does not have.
  if isinstance(config, ModelConfig) and config.vision is None:
    return "text"
  fitting = [
    name
    for name, (kind, fields) in ROWS.items()
    if type(config) is kind
    and all(getattr(config, key) == value for key, value in fields.items())
  ]
  # "objects" has no defining field, and so matches every `ModelConfig`.
  return max(fitting, key=lambda name: len(ROWS[name][1]))
