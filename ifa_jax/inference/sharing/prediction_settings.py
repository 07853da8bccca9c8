"""Settings of a trained model and its data that prediction needs."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ifa_jax.data import schema
from ifa_jax.files import dataclass_dict
from ifa_jax.files.shown import shown
from ifa_jax.models import registry
from ifa_jax.models.base import System
from ifa_jax.training.config.run_config import DataConfig

# Kinds of inputs in training, other than text.
KINDS = ("captions", "objects", "pictures")


@dataclasses.dataclass(frozen=True)
class DataSettings:
  """Settings of `training.config.run_config.DataConfig` that predictions need.

  Attributes:
    scenes: name of the folder of scenes, without its path.
  """

  text_len: int
  caption_len: int
  text_buckets: tuple[int, ...]
  layout: str
  scenes: str | None


@dataclasses.dataclass(frozen=True)
class PredictionSettings:
  """Settings of a trained model.

  Attributes:
    model: config with all sizes.
    relations: names by id.
    protocol: of the training data.
    image_size: side of a whole picture's square in the data, in pixels.
    tokenizer_sha256: see `Tokenizer.sha256`.
    data: settings for reading texts and objects.
    trained_with: kinds of inputs in training, see `inference.seen_kinds`.
  """

  model: System
  relations: list[str]
  protocol: str
  image_size: int
  tokenizer_sha256: str
  data: DataSettings
  trained_with: frozenset[str]

  def to_dict(self) -> dict[str, Any]:
    """Returns plain values, as `from_dict` reads them."""
    return {
      "model": registry.to_dict(self.model),
      "relations": self.relations,
      "protocol": self.protocol,
      "image_size": self.image_size,
      "tokenizer_sha256": self.tokenizer_sha256,
      "data": dataclass_dict.to_dict(self.data),
      "trained_with": sorted(self.trained_with),
    }

  @classmethod
  def from_dict(
    cls, found: Mapping[str, Any], where: str
  ) -> "PredictionSettings":
    """Reads untrusted values.

    Args:
      found: as `to_dict` returns them.
      where: the file, for errors.

    Raises:
      ValueError: for a value that is missing, unknown or of another type.
    """
    check(found, _EXPECTED, where)
    # Folders written before models read captions have no length of them.
    given = {"caption_len": DataConfig.caption_len, **found["data"]}
    check(given, _EXPECTED_DATA, f"{where}: data")
    model = _read_model(found["model"], where)
    relations = found["relations"]
    if len(relations) != model.num_relations:
      raise ValueError(
        f"{where}: relations: expected {model.num_relations} names, got"
        f" {len(relations)}"
      )
    data = dataclass_dict.from_dict(DataSettings, given, "data")
    kinds = frozenset(found["trained_with"])
    return cls(**{**found, "model": model, "data": data, "trained_with": kinds})


def _read_model(found: Mapping[str, Any], where: str) -> System:
  try:
    return registry.from_dict(found)
  # A value of a wrong type fails in the first operation on it.
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    reason = " ".join(str(error.args[0] if error.args else error).split())
    raise ValueError(
      f"{where}: expected the settings of a model, got others ({reason:.200})"
    ) from None


# Key -> description of its values, and a predicate.
Expected = Mapping[str, tuple[str, Callable[[Any], bool]]]


def check(found: Any, expected: Expected, where: str) -> None:
  """Checks that a JSON object has the expected keys, and no others.

  Raises:
    ValueError: naming the first key that is missing, unknown or has a wrong
      value.
  """
  if not isinstance(found, Mapping):
    raise ValueError(f"{where}: expected a JSON object, got {shown(found)}")
  for key, (kind, fits) in expected.items():
    if key not in found:
      raise ValueError(f"{where}: expected the key {key!r}, got none")
    if not fits(found[key]):
      raise ValueError(
        f"{where}: {key}: expected {kind}, got {shown(found[key])}"
      )
  if extra := [key for key in found if key not in expected]:
    raise ValueError(
      f"{where}: expected the keys {', '.join(expected)}, got"
      f" {shown(extra[0])} in addition"
    )


def is_count(value: Any) -> bool:
  """Returns whether a JSON value is a positive integer."""
  return type(value) is int and value > 0


def is_object(value: Any) -> bool:
  """Returns whether a JSON value is an object."""
  return isinstance(value, Mapping)


def _is_list(value: Any, fits: Callable[[Any], bool]) -> bool:
  return isinstance(value, list) and all(map(fits, value))


def _is_name(value: Any) -> bool:
  return isinstance(value, str) and value != ""


_EXPECTED: Expected = {
  "model": ("an object", is_object),
  "relations": ("a list of names", lambda value: _is_list(value, _is_name)),
  "protocol": (
    f"one of {', '.join(schema.PROTOCOLS)}",
    lambda value: value in schema.PROTOCOLS,
  ),
  "image_size": ("a number of pixels", is_count),
  "tokenizer_sha256": ("a sha256 in hexadecimal", _is_name),
  "data": ("an object", is_object),
  "trained_with": (
    f"a list of {', '.join(KINDS)}",
    lambda value: _is_list(value, KINDS.__contains__),
  ),
}
_EXPECTED_DATA: Expected = {
  "text_len": ("a number of tokens", is_count),
  "caption_len": ("a number of tokens", is_count),
  "text_buckets": (
    "a list of lengths",
    lambda value: _is_list(value, is_count),
  ),
  "layout": ("'nested' or 'opennre'", ("nested", "opennre").__contains__),
  "scenes": ("a name or null", lambda value: value is None or _is_name(value)),
}
