"""An encoder class of transformers as a table, with its `config.json`."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ifa_jax.convert.engine import Table
from ifa_jax.convert.huggingface import settings
from ifa_jax.convert.huggingface.settings import Config, Setting
from ifa_jax.models.config import TextConfig, VisionConfig

# Key of classes without an `intermediate_size`.
MLP_RATIO = "mlp_ratio"


@dataclasses.dataclass(frozen=True)
class Encoder:
  """An encoder class, with its `config.json` in both directions."""

  architecture: str  # Name of the class.
  # `model_type` of checkpoints that contain one, its own first.
  model_types: tuple[str, ...]
  prefixes: tuple[str, ...]  # Of its weights, alone and inside larger models.
  anchor: str  # A weight of every checkpoint, which shows the prefix.
  rules: Table  # For names without prefix.
  # The keys of its section of `config.json` that are followed.
  settings: Mapping[str, Setting]
  # Config of a section without keys, as in transformers.
  default: TextConfig | VisionConfig
  # Modules of the class that no model here has, see `engine.blank`.
  unread: tuple[str, ...]
  # Further keys that are written.
  constants: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  # Keys of rates that the model does not follow.
  ignored_dropout: tuple[str, ...] = ()
  # Returns the weights that the rules are for.
  prepare: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]] = dict
  # Returns the name of the section, or "", and the section.
  find_section: Callable[[Config], tuple[str, Config]] = lambda config: (
    "",
    config,
  )

  def read(self, section: Config) -> Any:
    """Returns the `TextConfig` or `VisionConfig` of a section.

    Raises:
      ValueError: naming the key.
    """
    found = self.write(self.default) | settings.read(self.settings, section)
    width, heads = found["hidden_size"], found["num_attention_heads"]
    if width % heads:
      raise ValueError(
        f"num_attention_heads: expected a divisor of hidden_size {width}, got"
        f" {heads}"
      )
    if ratio := found.get(MLP_RATIO):
      found["intermediate_size"] = int(width * ratio)
    image, patch = found.get("image_size", 0), found.get("patch_size", 1)
    if image % patch:
      raise ValueError(
        f"image_size: expected a multiple of patch_size {patch}, got {image}"
      )
    fields = {s.field: found[key] for key, s in self._stored()}
    return dataclasses.replace(self.default, **fields)

  def write(self, config: Any) -> dict[str, Any]:
    """Returns the `config.json` of a `TextConfig` or `VisionConfig`."""
    return {
      "architectures": [self.architecture],
      "model_type": self.model_types[0],
      **self.constants,
      **{key: getattr(config, s.field) for key, s in self._stored()},
    }

  def _stored(self) -> list[tuple[str, Any]]:
    return [(key, s) for key, s in self.settings.items() if s.field]
