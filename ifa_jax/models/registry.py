"""All architectures by name. A new one is registered here.

`build` returns the module of a config; `to_dict` and `from_dict` convert a
config to plain nested dicts and back, strictly (`files.dataclass_dict`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from ifa_jax.files import dataclass_dict
from ifa_jax.models.base import AUTO_DTYPE, Presets, System
from ifa_jax.models.baselines.bert import Bert, BertConfig
from ifa_jax.models.baselines.mega import MEGA, MEGAConfig
from ifa_jax.models.baselines.pcnn import PCNN, PCNNConfig
from ifa_jax.models.baselines.vilbert import ViLBERT, ViLBERTConfig
from ifa_jax.models.config import ModelConfig
from ifa_jax.models.ifaformer.caption import CaptionConfig, CaptionIFAformer
from ifa_jax.models.ifaformer.model import IFAformer
from ifa_jax.models.successors.hvformer import HVFormer, HVFormerConfig
from ifa_jax.models.successors.hvpnet import HVPNeT
from ifa_jax.models.successors.mkgformer import MKGformer, MKGformerConfig
from ifa_jax.models.successors.pyramid import HVPNeTConfig

# Config and module of each system; the key is `System.system`.
SYSTEMS: dict[str, tuple[type[System], type[nn.Module]]] = {
  config.system: (config, module)
  for config, module in (
    (ModelConfig, IFAformer),
    (CaptionConfig, CaptionIFAformer),
    (PCNNConfig, PCNN),
    (BertConfig, Bert),
    (MEGAConfig, MEGA),
    (ViLBERTConfig, ViLBERT),
    (MKGformerConfig, MKGformer),
    (HVFormerConfig, HVFormer),
    (HVPNeTConfig, HVPNeT),
  )
}


def build(config: System, remat: bool = False) -> nn.Module:
  """Returns the module that a config describes; `apply` it to a `Batch`.

  Args:
    config: shape of the model.
    remat: whether the backward pass recomputes layers to save memory.

  Raises:
    ValueError: for `remat` of a model that does not support it, or an
      unresolved dtype.
  """
  _, module = SYSTEMS[config.system]
  if config.dtype == AUTO_DTYPE:
    raise ValueError(
      f"model.dtype: expected float32 or bfloat16, got {config.dtype!r}, which"
      " training.config.resolve replaces"
    )
  if remat and not config.scans_layers:
    raise ValueError(
      "train.remat: expected False for a model whose layers differ, got"
      f" {remat} for {config.system}"
    )
  return module(config, remat=remat) if remat else module(config)


def to_dict(config: System) -> dict[str, Any]:
  """Returns the config as nested dicts of plain values, tuples as lists."""
  return {"system": config.system} | dataclass_dict.to_dict(config)


def from_dict(settings: Mapping[str, Any]) -> System:
  """Returns the config of a dict from `to_dict` or a config file's section.

  `system` selects the architecture; the default is IFAformer. Omitted fields
  take their defaults. Fields of `exchange`, `fusion_rules` and `prefix_rules`
  that are omitted or None take the preset of `fusion` or `variant`.

  Raises:
    UnknownSettingError: for a key that is no field; names the nearest one.
    ValueError: for an unknown system, a value of another type, or settings that
      the system's config rejects.
  """
  settings = {**settings}
  system = settings.pop("system", ModelConfig.system)
  dataclass_dict.check_choice("model.system", system, tuple(SYSTEMS))
  kind, _ = SYSTEMS[system]
  presets = kind.presets
  if presets and isinstance(settings.get(presets.field), Mapping):
    choice = settings.get(presets.choice, getattr(kind, presets.choice))
    changes = settings[presets.field]
    settings[presets.field] = _read_changes(presets, choice, changes)
  return dataclass_dict.from_dict(kind, settings, "model")


def _read_changes(presets: Presets, choice: Any, given: Mapping) -> Any | None:
  """Returns a preset with changes applied, None without any."""
  name = f"model.{presets.field}"
  dataclass_dict.check_keys(presets.kind, given, name)
  changes = {k: v for k, v in given.items() if v is not None}
  # The config reports an unknown choice, which may not be hashable.
  if not changes or choice not in [*presets.values]:
    return None
  preset = presets.values[choice]
  changed = dataclass_dict.from_dict(
    presets.kind, dataclasses.asdict(preset) | changes, name
  )
  # None, so that equal models have equal configs and one compiled program.
  return None if changed == preset else changed
