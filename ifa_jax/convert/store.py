"""Converted weights on disk, for a run to start from.

A folder holds

    model.json        the model's config, as `models.registry` reads it
    params/           an Orbax checkpoint of the parameters, float32; beside
                      IFAformer's there may be BERT's pooler, see `pooler`
    tokenizer/        of the text encoder, where its source has one
    provenance.json   sources with the sha256 of their files, what was left
                      behind and why, what keeps its initialisation, versions

It appears whole or not at all.
"""

import dataclasses
import importlib.metadata
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from ifa_jax.convert import pooler
from ifa_jax.files import json_file, whole
from ifa_jax.files.shown import shown
from ifa_jax.models import parameters, registry
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig

_MODEL, _PROVENANCE, _PARAMS = "model.json", "provenance.json", "params"
_TOKENIZER = "tokenizer"
_PACKAGES = ("jax", "flax", "orbax-checkpoint", "numpy")


@dataclasses.dataclass(frozen=True)
class Converted:
  """A model that came from elsewhere.

  Attributes:
    model_config: its config.
    params: float32 arrays, nested as the model reads them, and BERT's pooler.
    info: where it comes from, plain values; see `provenance.json` above.
    tokenizer: an `ifa_jax.data.text.tokenizer.Tokenizer`, or None.
  """

  model_config: System
  params: dict[str, Any]
  info: dict[str, Any]
  tokenizer: Any = None


def make_info(origin: str) -> dict[str, Any]:
  """Returns what `provenance.json` holds, still empty.

  Keys: `origin`; `sources`, part -> name and sha256 by file; `dropped`, part ->
  reason -> names; `initialised`, paths of parameters; `relations`, names by id
  of those that the head is for, None if they are not known; `notes`, sentences.
  """
  return {
    "origin": origin,
    "sources": {},
    "dropped": {},
    "initialised": [],
    "relations": None,
    "notes": [],
  }


def save_converted(
  folder: str | os.PathLike,
  model_config: System,
  params: Mapping[str, Any],
  info: Mapping[str, Any] | None = None,
  tokenizer: Any = None,
) -> None:
  """Writes a folder of converted weights, whole or not at all.

  Args:
    folder: new or empty.
    model_config: of the model that `params` belong to.
    params: nested dicts of arrays.
    info: where they come from, plain values.
    tokenizer: a `Tokenizer`, saved beside.

  Raises:
    ValueError: if there is something in the folder already.
  """
  versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
  with whole.folder(folder) as partial:
    _write_json(partial, _MODEL, registry.to_dict(model_config))
    _write_json(partial, _PROVENANCE, {**(info or {}), "versions": versions})
    if tokenizer is not None:
      tokenizer.save(os.path.join(partial, _TOKENIZER))
    _checkpointer().save(os.path.join(partial, _PARAMS), params)


def load_converted(
  folder: str | os.PathLike,
) -> tuple[System, dict[str, Any], dict[str, Any]]:
  """Reads what `save_converted` wrote.

  Returns:
    The model's config, its parameters as float32 numpy arrays, BERT's pooler
    among them where it was kept, and `provenance.json`.

  Raises:
    ValueError: if the folder holds no converted weights, or other parameters
      than its config describes; names them.
  """
  folder = os.path.abspath(folder)
  config = load_config(folder)
  params = _restore(os.path.join(folder, _PARAMS))
  expected = parameters.param_shapes(config)
  if isinstance(config, ModelConfig) and pooler.ROOT in params:
    expected |= pooler.shapes(config.text.hidden_dim)
  _check_shapes(folder, params, expected)
  return config, params, load_provenance(folder)


def load_config(folder: str | os.PathLike) -> System:
  """Reads the model's config that a folder of converted weights holds.

  Raises:
    ValueError: if the folder holds none.
  """
  if not is_converted(folder):
    raise ValueError(
      f"{folder}: want a folder that python -m ifa_jax.convert wrote, found no"
      f" {_MODEL}"
    )
  return registry.from_dict(_read_json(os.fspath(folder), _MODEL))


def load_shapes(folder: str | os.PathLike) -> dict[str, tuple[int, ...]]:
  """Returns path -> shape of the parameters in a folder, without reading any.

  Raises:
    ValueError: if they are missing or damaged.
  """
  path = os.path.join(os.path.abspath(folder), _PARAMS)
  try:
    tree = _checkpointer().metadata(path).item_metadata.tree
  except (ValueError, KeyError, OSError, AttributeError) as error:
    raise _damaged(path, error) from None
  flat: dict[str, Any] = traverse_util.flatten_dict(tree, sep="/")
  return {name: tuple(leaf.shape) for name, leaf in flat.items()}


def load_provenance(folder: str | os.PathLike) -> dict[str, Any]:
  """Reads `provenance.json`; see `make_info`.

  Raises:
    ValueError: if it is missing or damaged.
  """
  found = _read_json(os.fspath(folder), _PROVENANCE)
  if not isinstance(found, dict):
    path = os.path.join(folder, _PROVENANCE)
    raise ValueError(f"{path}: expected a JSON object, got {shown(found)}")
  return found


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


def _restore(path: str) -> dict[str, Any]:
  try:
    return _checkpointer().restore(path)
  except (ValueError, KeyError, OSError) as error:
    raise _damaged(path, error) from None


def _damaged(path: str, error: Exception) -> ValueError:
  reason = " ".join(str(error).split())[:200]
  return ValueError(f"{path}: missing or damaged ({reason})")


def _check_shapes(
  folder: str, params: Any, expected: Mapping[str, tuple[int, ...]]
) -> None:
  flat: dict[str, Any] = traverse_util.flatten_dict(params, sep="/")
  found = {path: np.shape(array) for path, array in flat.items()}
  problems = [
    f"{path}: want {expected.get(path)}, found {found.get(path)}"
    for path in sorted(expected.keys() | found.keys())
    if expected.get(path) != found.get(path)
  ]
  if problems:
    raise ValueError(
      f"{folder}: {_PARAMS} are not those of {_MODEL}:\n  "
      + "\n  ".join(problems)
    )


def _write_json(folder: str, name: str, value: Any) -> None:
  with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
    json.dump(value, file, indent=2, ensure_ascii=False)
    file.write("\n")


def _read_json(folder: str, name: str) -> Any:
  path = os.path.join(folder, name)
  try:
    return json_file.load(path)
  except OSError as error:
    raise ValueError(f"{path}: cannot be read ({error})") from None
