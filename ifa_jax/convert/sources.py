"""Reads pretrained models, from folders or the hub, without PyTorch."""

import functools
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ifa_jax.convert import onnx_file
from ifa_jax.files import json_file, torch_file
from ifa_jax.files.shown import shown

# In order of preference; an index lists the files of a sharded model.
_WEIGHTS = (
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
)
# transformers adds an adapter to the weights of another folder.
_ADAPTER = "adapter_config.json"
_SMALL_FILES = (
  "config.json",
  _ADAPTER,
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
  """A model on disk; `name` is a folder or hub id, as the user gave it.

  An ONNX file is read as a folder of the same encoder.
  """

  name: str
  folder: str

  def read_json(self, name: str) -> dict[str, Any] | None:
    """Returns the object in a file, or None if there is no such file."""
    if self.folder.endswith(onnx_file.SUFFIX):
      return onnx_file.read_json(self.folder, name)
    path = os.path.join(self.folder, name)
    return read_object(path) if os.path.exists(path) else None

  def read_config(self) -> dict[str, Any]:
    """Returns `config.json`.

    Raises:
      ValueError: if there is none, or for an adapter.
    """
    if os.path.exists(adapter := os.path.join(self.folder, _ADAPTER)):
      raise ValueError(
        f"{adapter}: expected weights that the adapter is merged into, got an"
        " adapter"
      )
    config = self.read_json("config.json")
    if config is None:
      raise self._missing("a config.json")
    return config

  @property
  def has_tokenizer(self) -> bool:
    """Whether the folder holds a vocabulary."""
    return any(
      os.path.exists(os.path.join(self.folder, name))
      for name in ("tokenizer.json", "vocab.txt")
    )

  def small_files(self) -> list[str]:
    """Returns the paths of all other files that are read if they exist."""
    paths = [os.path.join(self.folder, name) for name in _SMALL_FILES]
    return [path for path in paths if os.path.exists(path)]

  def weight_files(self) -> list[str]:
    """Returns the paths of the files that hold the weights.

    Raises:
      ValueError: if there are none, naming other files, or if one of several
        is missing.
    """
    if self.folder.endswith(onnx_file.SUFFIX):
      return [self.folder]
    for name in _WEIGHTS:
      if not os.path.exists(os.path.join(self.folder, name)):
        continue
      names = [name]
      if name.endswith(".json"):
        names = (self.read_json(name) or {}).get("weight_map")
        if not isinstance(names, dict) or not names:
          raise ValueError(
            f"{self.folder}/{name}: expected a weight_map of names to files"
          )
        # A path could lead out of the folder.
        names = sorted({os.path.basename(str(x)) for x in names.values()})
      paths = [os.path.join(self.folder, x) for x in names]
      if missing := [path for path in paths if not os.path.isfile(path)]:
        raise ValueError(
          f"{missing[0]}: there is no such file, which {name} lists"
        )
      return paths
    raise self._missing(" or ".join(_WEIGHTS))

  def _missing(self, what: str) -> ValueError:
    names = sorted(os.listdir(self.folder))
    found = ", ".join(names[:8]) + (" ..." if names[8:] else "") or "nothing"
    return ValueError(f"{self.folder}: expected {what}, got {found}")


def read_object(path: str) -> dict[str, Any]:
  """Returns the object in a JSON file; a ValueError names a file of others."""
  value = json_file.load(path)
  if not isinstance(value, dict):
    raise ValueError(f"{path}: expected a JSON object, got {shown(value)}")
  return value


def find(id_or_dir: str | os.PathLike, more: Sequence[str] = ()) -> Source:
  """Returns a folder or ONNX file, or the hub's copy of any other model.

  Only files that are read (`more` of them, if given) are fetched from the hub,
  and PyTorch's only if there are no safetensors.

  Raises:
    ValueError: if there is no such folder and the hub gives no such model.
  """
  name = os.fspath(id_or_dir)
  is_onnx = name.endswith(onnx_file.SUFFIX)
  if os.path.isdir(name) or (is_onnx and os.path.isfile(name)):
    return Source(name, name)
  if is_onnx:
    raise ValueError(f"{name}: there is no such file")
  if not is_hub_id(name):
    raise ValueError(f"{name}: there is no such folder")
  try:
    return Source(name, _fetch(name, *more))
  except Exception as error:  # Of the hub, of the network, of the cache.
    # The hub's own errors explain its cache at length.
    cause: BaseException = error
    while inner := cause.__cause__ or cause.__context__:
      cause = inner
    reason = " ".join(str(cause).split())[:200]
    raise ValueError(
      f"{name}: neither a folder nor a model that can be fetched from the hub"
      f" ({type(cause).__name__}: {reason})"
    ) from None


def is_hub_id(name: str) -> bool:
  """Returns whether a name may be a hub id, and is not a path."""
  return not name.startswith((".", "/", "~")) and name.count("/") <= 1


def _fetch(hub_id: str, *more: str) -> str:
  import huggingface_hub

  fetch = functools.partial(huggingface_hub.snapshot_download, hub_id)
  folder = fetch(allow_patterns=[*_SMALL_FILES, *more, "model*.safetensors*"])
  # A file of another precision, such as model.fp16.safetensors, is not read.
  if not {*_WEIGHTS[:2]} & {*os.listdir(folder)}:
    folder = fetch(allow_patterns=["pytorch_model*.bin*"])
  return folder


def read_weights(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns name -> array of a safetensors, PyTorch or ONNX file.

  Raises:
    ValueError: if it is missing, damaged, or holds anything but tensors.
  """
  path = os.fspath(path)
  if path.endswith(onnx_file.SUFFIX):
    return onnx_file.read_weights(path)
  if path.endswith(".safetensors"):
    import safetensors.numpy

    if not os.path.exists(path):
      raise ValueError(f"{path}: there is no such file")
    try:
      return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, KeyError) as error:
      raise ValueError(
        f"{path}: damaged, cut off, or no safetensors file ({error})"
      ) from None
    except AttributeError as error:
      # NumPy has no such type, nor has safetensors one in its place.
      raise ValueError(
        f"{path}: expected float16, bfloat16, float32 or float64, got another"
        f" type ({error})"
      ) from None
  return _state_dict(torch_file.load(path), path)


def _state_dict(loaded: Any, path: str) -> dict[str, np.ndarray]:
  expected = f"{path}: expected a state dict of tensors, got"
  if not isinstance(loaded, Mapping):
    raise ValueError(f"{expected} {type(loaded).__name__}")
  for name, array in loaded.items():
    if not isinstance(name, str) or not isinstance(array, np.ndarray):
      kind = type(array).__name__
      raise ValueError(f"{expected} {kind} under {shown(name)}")
  return dict(loaded)


def sha256(path: str | os.PathLike) -> str:
  """Returns the hash of a file, in hexadecimal."""
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_by_name(paths: Sequence[str]) -> dict[str, str]:
  """Returns name -> hash of some files."""
  return {os.path.basename(path): sha256(path) for path in paths}


def record(name: str, paths: Sequence[str]) -> dict[str, Any]:
  """Returns the entry of some files in `provenance.json`."""
  return {"name": name, "files": sha256_by_name(paths)}
