"""Every key of a `config.json`: read, refused, noted or unused.

A table has all fields of a class of transformers, and those of its older
versions that bear on the numbers. Any other key has no meaning for the class.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ifa_jax.files import json_file
from ifa_jax.files.shown import shown
from ifa_jax.models.layers import transformer

Config = Mapping[str, Any]


class Read(NamedTuple):
  """Is part of the model's config; `take` returns it or raises ValueError."""

  take: Callable[[Any], Any]


class Only(NamedTuple):
  """Is refused with any value but one."""

  value: Any


class Noted(NamedTuple):
  """Makes a note with any value but one."""

  value: Any
  note: str


class Unused(NamedTuple):
  """Bears on nothing that is computed here."""

  reason: str


Setting = Read | Only | Noted | Unused


def read(table: Mapping[str, Setting], config: Config) -> dict[str, Any]:
  """Returns the settings of a file that a model's config needs.

  Raises:
    ValueError: for a value that has no meaning or is not supported, naming its
      key.
  """
  found = {}
  for key, setting in table.items():
    if key not in config:
      continue
    value = config[key]
    if isinstance(setting, Read):
      try:
        found[key] = setting.take(value)
      except ValueError as error:
        raise ValueError(
          f"{key}: expected {error}, got {shown(value)}"
        ) from None
    elif isinstance(setting, Only) and value != setting.value:
      raise ValueError(f"{key}: expected {setting.value!r}, got {shown(value)}")
  return found


def notes(table: Mapping[str, Setting], config: Config) -> list[str]:
  """Returns a sentence for each value that the model does not follow."""
  return [
    f"{key} {shown(config[key])}: {setting.note}"
    for key, setting in table.items()
    if isinstance(setting, Noted)
    and config.get(key) not in (None, setting.value)
  ]


def count(value: Any) -> int:
  """Returns a whole number of 1 or more."""
  if type(value) is not int or value < 1:
    raise ValueError("a whole number from 1")
  return value


def positive(value: Any) -> float:
  """Returns a number above 0."""
  if not json_file.is_finite(value) or value <= 0:
    raise ValueError("a number above 0")
  return value


def rate(value: Any) -> float:
  """Returns a probability of dropout."""
  if not json_file.is_finite(value) or not 0 <= value < 1:
    raise ValueError("a number from 0 to below 1")
  return value


def side(value: Any) -> int:
  """Returns the side of a square: a number, or both of height and width."""
  sides = value if isinstance(value, list) else [value]
  if len(sides) not in (1, 2) or sides[0] != sides[-1]:
    raise ValueError("the side of a square")
  return count(sides[0])


def activation(value: Any) -> str:
  """Returns the name of an activation that the model has."""
  if not isinstance(value, str) or value not in transformer.ACTIVATIONS:
    raise ValueError(f"one of {', '.join(transformer.ACTIVATIONS)}")
  return value


def section(value: Any) -> Config:
  """Returns an object; null is an empty one, as in transformers."""
  if not isinstance(value, dict | None):
    raise ValueError("an object")
  return value or {}


_OUTPUT = Unused("form of the outputs")
_STORAGE = Unused("weights of any type are read as float32")
_CLASSES = Unused("of a classifier, which is not converted")
INITIALISED = Unused("of weights before training")
HEAD = Unused("of a head, which is not converted")

# Of every class, and of a whole CLIPModel's file outside its sections.
COMMON: dict[str, Setting] = {
  "architectures": Unused("names of weights decide"),
  "transformers_version": Unused("of the program that wrote the file"),
  "dtype": _STORAGE,
  "output_hidden_states": _OUTPUT,
  "return_dict": _OUTPUT,
  "chunk_size_feed_forward": Unused("the same sums in parts"),
  "is_encoder_decoder": Unused("of a decoder's cache"),
  "id2label": _CLASSES,
  "label2id": _CLASSES,
  "problem_type": _CLASSES,
  # No fields of the classes, but transformers follows them.
  "quantization_config": Only(None),
  "per_layer_config": Only(None),
  # Code of the checkpoint's own, which may compute anything.
  "auto_map": Only(None),
}
SIZES: dict[str, Setting] = {
  "hidden_size": Read(count),
  "num_hidden_layers": Read(count),
  "num_attention_heads": Read(count),
  "intermediate_size": Read(count),
  "hidden_act": Read(activation),
  "layer_norm_eps": Read(positive),
  "initializer_range": INITIALISED,
}
PICTURES: dict[str, Setting] = {
  "image_size": Read(side),
  "patch_size": Read(side),
  "num_channels": Only(3),
}
NO_DROPOUT = Noted(0, "the visual stream is trained without dropout")
