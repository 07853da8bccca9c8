"""What there is to know of an encoder of `transformers`."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.convert.huggingface.settings import Config, Setting
from ifa_jax.convert.rules import Drop, Rule


class Encoder(NamedTuple):
  """An architecture: its table, and its `config.json`, there and back.

  Attributes:
    architecture: the class in `transformers`.
    model_types: of the checkpoints that hold one, `model_type` in their
      `config.json`.
    prefixes: of its names, alone and inside larger models.
    anchor: a name that every checkpoint has, by which the prefix is found.
    rules: the table, over names without prefix.
    settings: key of its section of `config.json` -> its treatment.
    section: `config.json` -> the name of that section, empty where it is the
      file, and the section.
    read: the section -> a `TextConfig` or `VisionConfig`.
    write: that config -> `config.json`.
    unread: that config -> the weights that the class has and no model here
      reads, as an exported folder holds them.
  """

  architecture: str
  model_types: tuple[str, ...]
  prefixes: tuple[str, ...]
  anchor: str
  rules: list[Rule | Drop]
  settings: Mapping[str, Setting]
  section: Callable[[Config], tuple[str, Config]]
  read: Callable[[Config], Any]
  write: Callable[[Any], dict[str, Any]]
  unread: Callable[[Any], dict[str, np.ndarray]]


def whole_file(config: Config) -> tuple[str, Config]:
  """Returns the section of a file that has none."""
  return "", config


def sizes(config: Config) -> dict[str, Any]:
  """Returns what `TextConfig` and `VisionConfig` read under the same keys.

  Args:
    config: with all of `settings.SIZES` that are read.

  Raises:
    ValueError: for a width that the heads do not divide.
  """
  width, heads = config["hidden_size"], config["num_attention_heads"]
  if width % heads:
    raise ValueError(
      f"num_attention_heads: expected a divisor of hidden_size {width}, got"
      f" {heads}"
    )
  return {
    "hidden_dim": width,
    "num_layers": config["num_hidden_layers"],
    "num_heads": heads,
    "mlp_dim": config["intermediate_size"],
    "norm_epsilon": config["layer_norm_eps"],
    "activation": config["hidden_act"],
  }


def picture_sizes(config: Config) -> dict[str, int]:
  """Returns what `VisionConfig` reads of `settings.PICTURES`.

  Raises:
    ValueError: for a picture that is no whole number of patches wide.
  """
  image, patch = config["image_size"], config["patch_size"]
  if image % patch:
    raise ValueError(
      f"image_size: expected a multiple of patch_size {patch}, got {image}"
    )
  return {"image_size": image, "patch_size": patch}


def written_sizes(config: Any) -> dict[str, Any]:
  """Returns what `sizes` reads."""
  return {
    "hidden_size": config.hidden_dim,
    "num_hidden_layers": config.num_layers,
    "num_attention_heads": config.num_heads,
    "intermediate_size": config.mlp_dim,
    "layer_norm_eps": config.norm_epsilon,
    "hidden_act": config.activation,
  }


def blank_norm(name: str, width: int) -> dict[str, np.ndarray]:
  """Returns a LayerNorm's weights as they start."""
  return {
    f"{name}.weight": np.ones(width, np.float32),
    f"{name}.bias": np.zeros(width, np.float32),
  }


def blank_linear(name: str, width: int) -> dict[str, np.ndarray]:
  """Returns a square linear layer's weights, all 0."""
  return {
    f"{name}.weight": np.zeros((width, width), np.float32),
    f"{name}.bias": np.zeros(width, np.float32),
  }
