"""All architectures, by name: the one place where a new one is entered."""

from flax import linen as nn

from ifa_jax.models.base import AUTO_DTYPE, System
from ifa_jax.models.baselines.bert import Bert, BertConfig
from ifa_jax.models.baselines.mega import MEGA, MEGAConfig
from ifa_jax.models.baselines.pcnn import PCNN, PCNNConfig
from ifa_jax.models.baselines.vilbert import ViLBERT, ViLBERTConfig
from ifa_jax.models.config import ModelConfig
from ifa_jax.models.ifaformer.model import IFAformer

# Settings and module of each. `System.system` is the key.
SYSTEMS: dict[str, tuple[type[System], type[nn.Module]]] = {
  config.system: (config, module)
  for config, module in (
    (ModelConfig, IFAformer),
    (PCNNConfig, PCNN),
    (BertConfig, Bert),
    (MEGAConfig, MEGA),
    (ViLBERTConfig, ViLBERT),
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
