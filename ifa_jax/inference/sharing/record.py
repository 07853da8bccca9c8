"""The config.json of a shared folder: settings and history of a model."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ifa_jax.data import schema
from ifa_jax.files import dataclass_dict, json_file
from ifa_jax.files.shown import shown
from ifa_jax.models import registry
from ifa_jax.models.base import System
from ifa_jax.training.config.run_config import DataConfig
from ifa_jax.workdir.run_folder import RunFolder

FILE = "config.json"
LIBRARY = "ifa_jax"
# Incremented when a file of a shared folder changes its meaning.
FORMAT_VERSION = 1

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
  """Settings of a trained model and its data that prediction needs.

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


class Record(NamedTuple):
  """The settings and the history of a shared model.

  Attributes:
    settings: of prediction.
    step: of the checkpoint.
    training: `command`, `start`, `config`, `dataset`, `versions` and
      `git_commit` from the run's own config.json; paths outside of the working
      folder are cut to their last part.
    license: identifier of the license, or None.
    dataset: name of the training data, or None.
    scores: split -> scores, see `scores.of_run`.
  """

  settings: PredictionSettings
  step: int
  training: dict[str, Any]
  license: str | None
  dataset: str | None
  scores: dict[str, Any]


def write(folder: str | os.PathLike, record: Record) -> None:
  """Writes config.json."""
  settings = record.settings
  value = {
    "library_name": LIBRARY,
    "format_version": FORMAT_VERSION,
    "step": record.step,
    **vars(settings),
    "model": registry.to_dict(settings.model),
    "data": dataclass_dict.to_dict(settings.data),
    "trained_with": sorted(settings.trained_with),
    "license": record.license,
    "dataset": record.dataset,
    "scores": record.scores,
    "training": record.training,
  }
  RunFolder(folder).write_json(FILE, value)


def read(folder: str | os.PathLike) -> Record:
  """Reads config.json, which may come from anyone.

  Raises:
    ValueError: if it is missing, not JSON or of another format, or if a key is
      missing or unknown, or its value is of another type.
  """
  path = os.path.join(folder, FILE)
  try:
    found = json_file.load(path)
  except OSError as error:
    raise ValueError(
      f"{path}: expected the settings of a shared model, got no file that can"
      f" be read ({error.strerror})"
    ) from None
  check(found, _FORMAT, path, may_have_more=True)
  check(found, _EXPECTED, path)
  # Folders written before models read captions have no length of them.
  data = {"caption_len": DataConfig.caption_len, **found["data"]}
  check(data, _EXPECTED_DATA, f"{path}: data")
  model, relations = _read_model(found["model"], path), found["relations"]
  if len(relations) != model.num_relations:
    raise ValueError(
      f"{path}: relations: expected {model.num_relations} names, got"
      f" {len(relations)}"
    )
  settings = PredictionSettings(
    model,
    relations,
    found["protocol"],
    found["image_size"],
    found["tokenizer_sha256"],
    dataclass_dict.from_dict(DataSettings, data, "data"),
    frozenset(found["trained_with"]),
  )
  return Record(settings, *(found[key] for key in Record._fields[1:]))


def is_shared(found: Any) -> bool:
  """Returns whether a JSON value may be a config.json of this kind."""
  return isinstance(found, Mapping) and found.get("library_name") == LIBRARY


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


def check(
  found: Any, expected: Expected, where: str, may_have_more: bool = False
) -> None:
  """Checks the keys and values of a JSON object.

  Raises:
    ValueError: naming the first key that is missing, has a wrong value, or is
      unknown, unless there may be more.
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
  extra = [key for key in found if key not in expected]
  if extra and not may_have_more:
    raise ValueError(
      f"{where}: expected the keys {', '.join(expected)}, got"
      f" {shown(extra[0])} in addition"
    )


def is_count(value: Any) -> bool:
  """Returns whether a JSON value is a positive integer."""
  return type(value) is int and value > 0


def _is_object(value: Any) -> bool:
  return isinstance(value, Mapping)


def _is_list(value: Any, fits: Callable[[Any], bool]) -> bool:
  return isinstance(value, list) and all(map(fits, value))


def _is_name(value: Any) -> bool:
  return isinstance(value, str) and value != ""


def _is_text_or_none(value: Any) -> bool:
  return value is None or isinstance(value, str)


# Checked first: another format may have any keys.
_FORMAT: Expected = {
  "library_name": (repr(LIBRARY), lambda value: value == LIBRARY),
  "format_version": (
    str(FORMAT_VERSION),
    lambda value: value == FORMAT_VERSION,
  ),
}
_EXPECTED: Expected = {
  **_FORMAT,
  "step": ("a step", lambda value: type(value) is int and value >= 0),
  "model": ("an object", _is_object),
  "relations": (
    "a list of different names",
    lambda value: _is_list(value, _is_name) and len({*value}) == len(value),
  ),
  "protocol": (
    f"one of {', '.join(schema.PROTOCOLS)}",
    lambda value: value in schema.PROTOCOLS,
  ),
  "image_size": ("a number of pixels", is_count),
  "tokenizer_sha256": ("a sha256 in hexadecimal", _is_name),
  "data": ("an object", _is_object),
  "trained_with": (
    f"a list of {', '.join(KINDS)}",
    lambda value: _is_list(value, KINDS.__contains__),
  ),
  "license": ("a text or null", _is_text_or_none),
  "dataset": ("a text or null", _is_text_or_none),
  "scores": ("an object", _is_object),
  "training": ("an object", _is_object),
}
# Of a run's own record, by its section.
RUN: Mapping[str, Expected] = {
  "config": {key: _EXPECTED[key] for key in ("model", "data")},
  "dataset": {
    **{key: _EXPECTED[key] for key in ("relations", "protocol", "image_size")},
    "tokenizer": (
      "an object with its sha256",
      lambda value: _is_object(value) and _is_name(value.get("sha256")),
    ),
  },
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
