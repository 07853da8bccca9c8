"""Reads a pretrained model's folder, or one of the hub, without PyTorch."""

import functools
import hashlib
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.files import json_file, torch_file
from ifa_jax.files.shown import shown

# In the order in which they are tried; an index lists the parts of a model
# that is spread over files.
_WEIGHTS = (
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
)
# Of an adapter, which transformers adds to the weights of another folder.
ADAPTER = "adapter_config.json"
_SMALL_FILES = (
  "config.json",
  ADAPTER,
  "preprocessor_config.json",
  "processor_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "vocab.txt",
  "vocab.json",
  "merges.txt",
  "special_tokens_map.json",
  "added_tokens.json",
)


class Source(NamedTuple):
  """A model on disk.

  Attributes:
    name: as the user gave it: a folder or a hub id.
    folder: where it lies.
  """

  name: str
  folder: str

  def read_json(self, name: str) -> dict[str, Any] | None:
    """Returns what a file holds, or None if there is no such file.

    Raises:
      ValueError: if it holds no JSON object, naming it.
    """
    path = os.path.join(self.folder, name)
    if not os.path.exists(path):
      return None
    value = json_file.load(path)
    if not isinstance(value, dict):
      raise ValueError(f"{path}: want a JSON object, found {shown(value)}")
    return value

  def read_config(self) -> dict[str, Any]:
    """Returns `config.json`.

    Raises:
      ValueError: if there is none, with what the folder holds instead, or if
        the folder holds an adapter.
    """
    if os.path.exists(adapter := os.path.join(self.folder, ADAPTER)):
      raise ValueError(
        f"{adapter}: expected weights that the adapter is merged into, got an"
        " adapter"
      )
    config = self.read_json("config.json")
    if config is None:
      raise ValueError(
        f"{self.folder}: want a config.json, found {_list_folder(self.folder)}"
      )
    return config

  @property
  def has_tokenizer(self) -> bool:
    """Whether the folder holds a vocabulary."""
    return any(
      os.path.exists(os.path.join(self.folder, name))
      for name in ("tokenizer.json", "vocab.txt")
    )

  def small_files(self) -> list[str]:
    """Returns the paths of all other files that are read where they exist."""
    paths = [os.path.join(self.folder, name) for name in _SMALL_FILES]
    return [path for path in paths if os.path.exists(path)]

  def weight_files(self) -> list[str]:
    """Returns the paths of the files that hold the weights.

    Raises:
      ValueError: if there are none, naming what is wanted and what is there.
    """
    for name in _WEIGHTS:
      path = os.path.join(self.folder, name)
      if os.path.exists(path):
        names = self._parts(name) if name.endswith(".json") else [name]
        return [os.path.join(self.folder, part) for part in names]
    raise ValueError(
      f"{self.folder}: want {' or '.join(_WEIGHTS)}, found"
      f" {_list_folder(self.folder)}"
    )

  def _parts(self, index: str) -> list[str]:
    """Returns the files that an index lists."""
    parts = (self.read_json(index) or {}).get("weight_map")
    if not isinstance(parts, dict) or not parts:
      raise ValueError(
        f"{os.path.join(self.folder, index)}: want a weight_map of names to"
        " files"
      )
    # A name could lead out of the folder otherwise.
    return sorted({os.path.basename(str(part)) for part in parts.values()})


def find(id_or_dir: str | os.PathLike) -> Source:
  """Returns a folder as it is, and the hub's copy of anything else.

  Of the hub, only the files that are read here are fetched, PyTorch's own only
  where there are no others.

  Raises:
    ValueError: for what is neither a folder nor can be fetched.
  """
  name = os.fspath(id_or_dir)
  if os.path.isdir(name):
    return Source(name, name)
  if not is_hub_id(name):
    raise ValueError(f"{name}: there is no such folder")
  try:
    return Source(name, _fetch(name))
  except Exception as error:  # Of the hub, of the network, of the cache.
    raise ValueError(
      f"{name}: neither a folder nor a model that can be fetched from the hub"
      f" ({_root_cause(error)})"
    ) from None


def _root_cause(error: BaseException) -> str:
  """Returns one line; the errors of the hub explain its cache at length."""
  while cause := error.__cause__ or error.__context__:
    error = cause
  return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def is_hub_id(name: str) -> bool:
  """Returns whether a name can be one of the hub, and is not a path."""
  return not name.startswith((".", "/", "~")) and name.count("/") <= 1


def _fetch(hub_id: str) -> str:
  import huggingface_hub

  fetch = functools.partial(huggingface_hub.snapshot_download, hub_id)
  folder = fetch(allow_patterns=[*_SMALL_FILES, "model*.safetensors*"])
  if not any(".safetensors" in name for name in os.listdir(folder)):
    folder = fetch(allow_patterns=["pytorch_model*.bin*"])
  return folder


def read_weights(path: str) -> dict[str, np.ndarray]:
  """Returns name -> array of a `.safetensors` or `.bin` file.

  Raises:
    ValueError: for a damaged file, or one that holds anything but tensors.
  """
  if path.endswith(".safetensors"):
    return _read_safetensors(path)
  loaded = torch_file.load(path)
  if not is_state_dict(loaded):
    raise ValueError(
      f"{path}: want a state dict of tensors, found {type(loaded).__name__}"
    )
  return dict(loaded)


def is_state_dict(loaded: Any) -> bool:
  """Returns whether an object maps names to arrays."""
  return isinstance(loaded, Mapping) and all(
    isinstance(name, str) and isinstance(array, np.ndarray)
    for name, array in loaded.items()
  )


def matrix_shape(
  arrays: Mapping[str, np.ndarray], name: str, where: str | os.PathLike
) -> tuple[int, int]:
  """Returns rows and columns of one of a checkpoint's arrays.

  Args:
    arrays: all of them, by name.
    name: the wanted one's.
    where: the checkpoint's name, for the error.

  Raises:
    ValueError: if it is missing or no matrix.
  """
  array = arrays.get(name)
  if array is None or array.ndim != 2:
    found = "nothing" if array is None else f"shape {array.shape}"
    raise ValueError(f"{where}: {name}: want a matrix, found {found}")
  return array.shape


def _read_safetensors(path: str) -> dict[str, np.ndarray]:
  import safetensors
  import safetensors.numpy

  if not os.path.exists(path):
    raise ValueError(f"{path}: there is no such file")
  try:
    return safetensors.numpy.load_file(path)
  except (safetensors.SafetensorError, KeyError) as error:
    raise ValueError(
      f"{path}: damaged, cut off, or no safetensors file ({error})"
    ) from None


def sha256(path: str) -> str:
  """Returns the hash of a file, in hexadecimal."""
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _list_folder(folder: str) -> str:
  names = sorted(os.listdir(folder))
  return ", ".join(names[:8]) + (" ..." if names[8:] else "") or "nothing"
