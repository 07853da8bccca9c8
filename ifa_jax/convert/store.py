"""Converted weights on disk, for a run to start from.

    model.json        the model's config, as `models.registry` reads it
    params/           an Orbax checkpoint of the parameters, float32
    tokenizer/        the text encoder's, if its source has one
    provenance.json   see `make_info`; and the versions of packages

A folder appears complete or not at all. Next to IFAformer's parameters it may
hold BERT's pooler, which IFAformer does not have and the system "bert" reads:

    pooler/kernel     float32[D, D]
    pooler/bias       float32[D]
"""

import importlib.metadata
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from ifa_jax.convert import engine, sources
from ifa_jax.files import json_file, whole
from ifa_jax.files.shown import one_line, shown
from ifa_jax.models import parameters, registry
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig

POOLER = "pooler"

_MODEL, _PROVENANCE, _PARAMS = "model.json", "provenance.json", "params"
_TOKENIZER = "tokenizer"
_PACKAGES = ("jax", "flax", "orbax-checkpoint", "numpy")


class Converted(NamedTuple):
  """A model from elsewhere."""

  model_config: System
  # Nested float32 arrays, with BERT's pooler if there is one.
  params: dict[str, Any]
  # See `make_info`.
  info: dict[str, Any]
  # A `Tokenizer`, or None.
  tokenizer: Any = None


def make_info(origin: str) -> dict[str, Any]:
  """Returns the content of an empty `provenance.json`.

  Keys: `origin`; `sources`, part -> name and sha256 by file; `dropped`, part ->
  reason -> names; `initialised`, paths of parameters; `relations`, the head's
  names by id, None if they are not known; `notes`, sentences.
  """
  return {
    "origin": origin,
    "sources": {},
    "dropped": {},
    "initialised": [],
    "relations": None,
    "notes": [],
  }


def pooler_shapes(width: int) -> dict[str, tuple[int, ...]]:
  """Returns path -> shape of the pooler of a text stream."""
  return {f"{POOLER}/kernel": (width, width), f"{POOLER}/bias": (width,)}


def save_converted(
  folder: str | os.PathLike,
  model_config: System,
  params: Mapping[str, Any],
  info: Mapping[str, Any] | None = None,
  tokenizer: Any = None,
) -> None:
  """Writes a folder of converted weights, complete or not at all.

  Args:
    folder: new or empty; otherwise a ValueError.
    model_config: the model's.
    params: nested dicts of arrays.
    info: plain values for `provenance.json`.
    tokenizer: a `Tokenizer`, or None.
  """
  versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
  written = {
    _MODEL: registry.to_dict(model_config),
    _PROVENANCE: {**(info or {}), "versions": versions},
  }
  with whole.folder(folder) as partial:
    for name, value in written.items():
      json_file.write(os.path.join(partial, name), value)
    if tokenizer is not None:
      tokenizer.save(os.path.join(partial, _TOKENIZER))
    _checkpointer().save(os.path.join(partial, _PARAMS), params)


def load_converted(
  folder: str | os.PathLike,
) -> tuple[System, dict[str, Any], dict[str, Any]]:
  """Reads the result of `save_converted`.

  Returns:
    The model's config, its parameters as float32 numpy arrays, with BERT's
    pooler if there is one, and `provenance.json`.

  Raises:
    ValueError: if the folder holds no converted weights, or other parameters
      than its config describes; names them.
  """
  folder = os.path.abspath(folder)
  config = load_config(folder)
  path = os.path.join(folder, _PARAMS)
  try:
    params = _checkpointer().restore(path)
  except (ValueError, KeyError, OSError) as error:
    raise _damaged(path, error) from None
  expected = parameters.param_shapes(config)
  if isinstance(config, ModelConfig) and POOLER in params:
    expected |= pooler_shapes(config.text.hidden_dim)
  flat: dict[str, Any] = traverse_util.flatten_dict(params, sep="/")
  found = {name: np.shape(array) for name, array in flat.items()}
  problems = [
    f"{name}: expected {expected.get(name)}, got {found.get(name)}"
    for name in sorted(expected.keys() | found.keys())
    if expected.get(name) != found.get(name)
  ]
  engine.raise_all(f"{folder}: {_PARAMS} are not those of {_MODEL}", problems)
  return config, params, load_provenance(folder)


def load_config(folder: str | os.PathLike) -> System:
  """Returns the model's config; a ValueError if the folder holds none."""
  if not is_converted(folder):
    raise ValueError(
      f"{folder}: expected a folder that python -m ifa_jax.convert wrote, got"
      f" no {_MODEL}"
    )
  return read_system(_read_json(folder, _MODEL), os.path.join(folder, _MODEL))


def read_system(settings: Any, where: str) -> System:
  """Reads a model's config as a file has it.

  Args:
    settings: a JSON value.
    where: the file, for errors.

  Raises:
    ValueError: for settings that are not those of a model.
  """
  if not isinstance(settings, Mapping):
    raise ValueError(
      f"{where}: expected the settings of a model, got {shown(settings)}"
    )
  try:
    return registry.from_dict(settings)
  # A value of a wrong type fails in the first operation on it.
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise ValueError(f"{where}: {one_line(error)}") from None


def load_shapes(folder: str | os.PathLike) -> dict[str, tuple[int, ...]]:
  """Returns path -> shape of the parameters in a folder, without reading any.

  Raises a ValueError if they are missing or damaged.
  """
  path = os.path.join(os.path.abspath(folder), _PARAMS)
  try:
    tree = _checkpointer().metadata(path).item_metadata.tree
  except (ValueError, KeyError, OSError, AttributeError) as error:
    raise _damaged(path, error) from None
  flat: dict[str, Any] = traverse_util.flatten_dict(tree, sep="/")
  return {name: tuple(leaf.shape) for name, leaf in flat.items()}


def load_provenance(folder: str | os.PathLike) -> dict[str, Any]:
  """Reads `provenance.json`; a ValueError if it is missing or damaged."""
  return _read_json(folder, _PROVENANCE)


def tokenizer_folder(folder: str | os.PathLike) -> str | None:
  """Returns the folder of the weights' tokenizer, or None if there is none."""
  path = os.path.join(folder, _TOKENIZER)
  return path if os.path.isdir(path) else None


def is_converted(folder: str | os.PathLike) -> bool:
  """Returns whether a folder holds converted weights."""
  return os.path.isfile(os.path.join(folder, _MODEL))


def _checkpointer() -> Any:
  # Takes seconds to import, which `import ifa_jax` should not.
  import orbax.checkpoint as ocp

  return ocp.PyTreeCheckpointer()


def _damaged(path: str, error: Exception) -> ValueError:
  return ValueError(f"{path}: missing or damaged ({one_line(error)})")


def _read_json(folder: str | os.PathLike, name: str) -> dict[str, Any]:
  path = os.path.join(folder, name)
  try:
    return sources.read_object(path)
  except OSError as error:
    raise ValueError(f"{path}: cannot be read ({error})") from None
