"""The systems that came after the paper's, with their published training.

    mkgformer           MKGformer, padding and absent crops masked
    mkgformer_released  MKGformer as its released code computes and trains it
    hvformer            HVFormer as its released code computes and trains it
    hvpnet              HVPNeT by its equations, on regions of a pyramid
    hvpnet_released     HVPNeT as its released code computes and trains it

Sources are the training code of the repositories that `models.successors` names
(modules/train.py and the scripts that start it). Published scores of all three
(81.95, 83.39 and 81.85 micro F1) are of the crops that leak the label.
"""

from typing import Any

from ml_collections import config_dict

from ifa_jax.models import variants
from ifa_jax.models.config import VisionConfig
from ifa_jax.training.config.defaults import model_section
from ifa_jax.training.config.run_config import NEW

VARIANTS = tuple(variants.SUCCESSORS)
_HEAD = "relation_head/.*"


def set_published(config: config_dict.ConfigDict, variant: str) -> None:
  """Turns a config of `base` into a variant with its published settings."""
  config.model = model_section(variants.make(variant, **_shapes(variant)))
  train, optim = config.train, config.optim
  system = variant.removesuffix("_released")
  # MKGformer's and HVFormer's budgets, then HVPNeT's.
  train.batch_size = 16 if system == "hvpnet" else 32
  train.total_epochs = {"mkgformer": 12, "hvformer": 20, "hvpnet": 15}[system]
  optim.groups = _groups(variant)
  if variant.endswith("_released") or variant == "hvformer":
    # torch.optim.AdamW over all parameters, biases and norms included.
    optim.decay_exclude = ""
    optim.clip_norm = 0.0
  if variant == "mkgformer_released":
    # Its vision stream attends to padding, so the padded length matters.
    config.data.text_buckets = ()


def _shapes(variant: str) -> dict[str, Any]:
  if variant in ("mkgformer_released", "hvformer"):
    # torch.nn.Embedding's default.
    return {"vision": VisionConfig(crop_position_stddev=1.0)}
  return {}


def _groups(variant: str) -> dict[str, dict[str, Any]]:
  """Returns the groups of parameters; a rate of 0 keeps a group as it is."""
  fused = rf"{NEW}|fusion_\d+/.*"
  # Two groups by a pattern: those that match, and the others.
  split = {
    "mkgformer": ("new", fused, 1e-4, 1e-5),
    # The optimizer selects names with "model", which the head lacks.
    "mkgformer_released": ("frozen", _HEAD, 0.0, 1e-5),
    # No gradient reaches the vision stream, and none is decayed.
    "hvformer": ("frozen", "visual/.*", 0.0, 1e-5),
    "hvpnet": ("new", rf"pyramid/.*|{_HEAD}", 1e-4, 3e-5),
    # The optimizer selects BERT, the projections and the gates.
    "hvpnet_released": ("frozen", rf"pyramid/absent|{_HEAD}", 0.0, 3e-5),
  }
  name, pattern, rate, others = split[variant]
  return {
    name: {"pattern": pattern, "peak_lr": rate},
    "encoder": {"pattern": rf"(?!(?:{pattern})$).*", "peak_lr": others},
  }
