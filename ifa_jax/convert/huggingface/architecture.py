"""What there is to know of an encoder of `transformers`."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.convert.rules import Drop, Rule
from ifa_jax.models.layers import transformer

Config = Mapping[str, Any]

_ACTIVATIONS = tuple(transformer.ACTIVATIONS)


class Encoder(NamedTuple):
  """An architecture: its table, and its `config.json`, there and back.

  Attributes:
    architecture: the class in `transformers`.
    model_types: of the checkpoints that hold one, `model_type` in their
      `config.json`.
    prefixes: of its names, alone and inside larger models.
    anchor: a name that every checkpoint has, by which the prefix is found.
    rules: the table, over names without prefix.
    read: `config.json` -> a `TextConfig` or `VisionConfig`.
    write: that config -> `config.json`.
    unread: that config -> the weights that the class has and no model here
      reads, as an exported folder holds them.
  """

  architecture: str
  model_types: tuple[str, ...]
  prefixes: tuple[str, ...]
  anchor: str
  rules: list[Rule | Drop]
  read: Callable[[Config], Any]
  write: Callable[[Any], dict[str, Any]]
  unread: Callable[[Any], dict[str, np.ndarray]]


def sizes(config: Config) -> dict[str, Any]:
  """Returns what `TextConfig` and `VisionConfig` read under the same keys.

  Raises:
    ValueError: for an activation that the model does not have.
  """
  activation = config["hidden_act"]
  if activation not in _ACTIVATIONS:
    raise ValueError(
      f"hidden_act: want one of {', '.join(_ACTIVATIONS)}, found {activation!r}"
    )
  return {
    "hidden_dim": config["hidden_size"],
    "num_layers": config["num_hidden_layers"],
    "num_heads": config["num_attention_heads"],
    "mlp_dim": config["intermediate_size"],
    "norm_epsilon": config["layer_norm_eps"],
    "activation": activation,
  }


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
