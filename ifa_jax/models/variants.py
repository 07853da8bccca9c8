"""The rows of the paper's Table 2 as models, by the names that configs use."""

import dataclasses
from typing import Any

from ifa_jax.models.base import System
from ifa_jax.models.baselines.bert import BertConfig
from ifa_jax.models.baselines.mega import MEGAConfig
from ifa_jax.models.baselines.pcnn import PCNNConfig
from ifa_jax.models.baselines.vilbert import ViLBERTConfig
from ifa_jax.models.config import ModelConfig

# A model's config, and what sets a row apart from that config's defaults.
IFAFORMERS: dict[str, tuple[type[System], dict[str, Any]]] = {
  "objects": (ModelConfig, {}),
  "vanilla": (ModelConfig, {"use_objects": False}),
  "no_text_attention": (
    ModelConfig,
    {"use_objects": False, "text_attention": False},
  ),
  "text": (ModelConfig, {"vision": None}),
}
BASELINES: dict[str, tuple[type[System], dict[str, Any]]] = {
  "pcnn": (PCNNConfig, {}),
  "bert": (BertConfig, {"pooling": "cls"}),
  "mtb": (BertConfig, {}),
  "bert_sg": (MEGAConfig, {"structural": False, "semantic": False}),
  "bert_sg_att": (MEGAConfig, {"structural": False}),
  "vilbert": (ViLBERTConfig, {}),
  "mega": (MEGAConfig, {}),
  "mega_released": (MEGAConfig, {"variant": "released"}),
}


def make(name: str, **shared: Any) -> System:
  """Returns the model of a row.

  Args:
    name: a key of `IFAFORMERS` or `BASELINES`.
    **shared: fields that rows have in common, such as `text`; those that this
      one's config has not, or that set it apart, are passed over.

  Raises:
    ValueError: as the model's config does.
  """
  kind, fields = (IFAFORMERS | BASELINES)[name]
  known = {field.name for field in dataclasses.fields(kind)}
  given = {key: value for key, value in shared.items() if key in known}
  return kind(**given | fields)


def name_of(config: System) -> str:
  """Returns the row that a model is, whatever its sizes.

  Of several that fit, the one that is set apart by most.
  """
  rows = IFAFORMERS | BASELINES
  fitting = [
    name
    for name, (kind, fields) in rows.items()
    if type(config) is kind
    and all(getattr(config, key) == value for key, value in fields.items())
  ]
  return max(fitting, key=lambda name: len(rows[name][1]))
