"""All architectures, by name: the one place where a new one is entered.

`build` makes the module of a config; `to_dict` and `from_dict` turn a config
into plain nested dicts and back, strictly (`files.dataclass_dict`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from ifa_jax.files import dataclass_dict
from ifa_jax.models.base import AUTO_DTYPE, System
from ifa_jax.models.baselines.bert import Bert, BertConfig
from ifa_jax.models.baselines.mega import MEGA, MEGAConfig
from ifa_jax.models.baselines.pcnn import PCNN, PCNNConfig
from ifa_jax.models.baselines.vilbert import ViLBERT, ViLBERTConfig
from ifa_jax.models.config import FUSIONS, Exchange, ModelConfig
from ifa_jax.models.ifaformer.model import IFAformer
from ifa_jax.models.successors.hvformer import HVFormer, HVFormerConfig
from ifa_jax.models.successors.hvpnet import HVPNeT, HVPNeTConfig
from ifa_jax.models.successors.mkgformer import MKGformer, MKGformerConfig

# Settings and module of each. `System.system` is the key.
SYSTEMS: dict[str, tuple[type[System], type[nn.Module]]] = {
  config.system: (config, module)
  for config, module in (
    (ModelConfig, IFAformer),
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
    remat: whether the backward pass computes layers anew, to save memory.

  Raises:
    ValueError: for `remat` of a model that cannot, or a dtype that is not
      resolved.
  """
  _, module = SYSTEMS[config.system]
  if config.dtype == AUTO_DTYPE:
    raise ValueError(
      f"model.dtype: expected float32 or bfloat16, got {config.dtype!r}, which"
      " training.config.resolve replaces"
    )
  if remat and not config.scans_layers:
    raise ValueError(
      "train.remat: want False for a model whose layers are not all alike,"
      f" found {remat} for {config.system}"
    )
  return module(config, remat=remat) if remat else module(config)


def to_dict(config: System) -> dict[str, Any]:
  """Returns the config as nested dicts of plain values, tuples as lists."""
  return {"system": config.system} | dataclass_dict.to_dict(config)


def from_dict(settings: Mapping[str, Any]) -> System:
  """Returns the config that `to_dict`, or a section of a config file, holds.

  `system` chooses the architecture, IFAformer if it is left out. Fields that
  are left out take their defaults. Fields of IFAformer's `exchange` that are
  left out or None take the preset of `fusion`.

  Raises:
    UnknownSettingError: for a key that is no field; names the nearest one.
    ValueError: for an unknown system, a value of another type, or as the
      system's config does.
  """
  settings = {**settings}
  system = settings.pop("system", ModelConfig.system)
  if system not in SYSTEMS:
    raise ValueError(
      f"model.system: want one of {', '.join(SYSTEMS)}, found {system!r}"
    )
  kind, _ = SYSTEMS[system]
  if kind is ModelConfig and isinstance(settings.get("exchange"), Mapping):
    settings["exchange"] = _read_exchange(settings)
  return dataclass_dict.from_dict(kind, settings, "model")


def _read_exchange(settings: Mapping[str, Any]) -> Exchange | None:
  """Returns the departures from a fusion's preset, None without any."""
  exchange = settings["exchange"]
  dataclass_dict.check_keys(Exchange, exchange, "model.exchange")
  departures = {k: v for k, v in exchange.items() if v is not None}
  fusion = settings.get("fusion", ModelConfig.fusion)
  # ModelConfig refuses an unknown fusion.
  if not departures or fusion not in [*FUSIONS]:
    return None
  preset = FUSIONS[fusion]
  departed = dataclass_dict.from_dict(
    Exchange, dataclasses.asdict(preset) | departures, "model.exchange"
  )
  return None if departed == preset else departed
