"""Reads files of `torch.save` without PyTorch and without running them.

Such a file is a zip archive: `*/data.pkl` describes the object, and each
tensor's bytes lie in `*/data/<key>`. A pickle can name any function of any
module and have it called. Here it may name only what rebuilds a tensor or a
plain container; every other name is an error, so nothing of the file's choosing
ever runs.
"""

import collections
import dataclasses
import io
import math
import os
import pickle
import zipfile
from typing import Any

import ml_dtypes
import numpy as np

_DTYPES = {
  "DoubleStorage": np.float64,
  "FloatStorage": np.float32,
  "HalfStorage": np.float16,
  "BFloat16Storage": ml_dtypes.bfloat16,
  "LongStorage": np.int64,
  "IntStorage": np.int32,
  "ShortStorage": np.int16,
  "CharStorage": np.int8,
  "ByteStorage": np.uint8,
  "BoolStorage": np.bool_,
}


@dataclasses.dataclass(frozen=True)
class _StorageType:
  """Stands for `torch.FloatStorage` and its kind."""

  dtype: Any


def load(path: str | os.PathLike) -> Any:
  """Returns the object in a `torch.save` file, its tensors as numpy arrays.

  Args:
    path: a zip-format file, as `torch.save` writes since PyTorch 1.6.

  Raises:
    ValueError: for a file that is no such archive, is damaged, or names
      anything but tensors and plain containers. The message names the file.
    FileNotFoundError: if there is no such file.
  """
  try:
    with zipfile.ZipFile(path) as archive:
      return _load_archive(archive)
  except FileNotFoundError:
    raise
  except zipfile.BadZipFile as error:
    raise ValueError(f"{path}: {_why_no_archive(path, error)}") from None
  except pickle.UnpicklingError as error:
    raise ValueError(f"{path}: {error}") from None
  except Exception as error:
    # The unpickler meets damaged opcodes with whatever error they happen to
    # cause, so no list of types would be complete.
    raise ValueError(
      f"{path}: damaged ({type(error).__name__}: {error})"
    ) from None


def _why_no_archive(path: str | os.PathLike, error: Exception) -> str:
  """Returns what to do about a file of the old format, or what it is not."""
  with open(path, "rb") as file:
    is_pickle = file.read(2) == pickle.PROTO + b"\x02"
  if is_pickle:
    return (
      "want a zip archive, found the format that torch.save wrote before"
      " PyTorch 1.6; where PyTorch is installed, save it again:"
      " torch.save(torch.load(FILE, weights_only=True), FILE)"
    )
  return (
    "want a zip archive as torch.save writes it, found a file that is none or"
    f" is cut off ({error})"
  )


def _load_archive(archive: zipfile.ZipFile) -> Any:
  described = [n for n in archive.namelist() if n.endswith("/data.pkl")]
  if len(described) != 1:
    raise pickle.UnpicklingError(
      f"want one */data.pkl in the archive, found {described or 'none'}"
    )
  root = described[0].removesuffix("data.pkl")
  return _Reader(archive, root).load()


class _Reader(pickle.Unpickler):
  """An unpickler that knows tensors and plain containers, nothing else."""

  def __init__(self, archive: zipfile.ZipFile, root: str):
    super().__init__(io.BytesIO(archive.read(root + "data.pkl")))
    self._archive = archive
    self._root = root
    self._storages: dict[str, np.ndarray] = {}

  def find_class(self, module: str, name: str) -> Any:
    if module == "torch" and name in _DTYPES:
      return _StorageType(_DTYPES[name])
    try:
      return _ALLOWED[module, name]
    except KeyError:
      raise pickle.UnpicklingError(
        f"wants to run {module}.{name}; only tensors and plain containers are"
        " read"
      ) from None

  def persistent_load(self, pid: Any) -> np.ndarray:
    kind, storage_type, key, _, _ = pid
    if kind != "storage" or not isinstance(storage_type, _StorageType):
      raise pickle.UnpicklingError(f"want a tensor's storage, found {pid!r}")
    if key not in self._storages:
      raw = self._archive.read(f"{self._root}data/{key}")
      self._storages[key] = np.frombuffer(raw, storage_type.dtype)
    return self._storages[key]


def _rebuild_tensor(storage, offset, size, stride, *_) -> np.ndarray:
  """Returns the view of a storage that a tensor is; offsets in elements."""
  last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
  if min((offset, *size, *stride), default=0) < 0 or (
    math.prod(size) and last >= len(storage)
  ):
    raise pickle.UnpicklingError(
      f"a tensor of shape {tuple(size)} reaches beyond its storage of"
      f" {len(storage)} elements"
    )
  steps = [s * storage.itemsize for s in stride]
  return np.lib.stride_tricks.as_strided(
    storage[offset:], size, steps, writeable=False
  )


def _rebuild_parameter(data, *_) -> np.ndarray:
  return data


_ALLOWED = {
  ("collections", "OrderedDict"): collections.OrderedDict,
  ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
  ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
}
