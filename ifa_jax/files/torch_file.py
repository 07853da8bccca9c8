"""Reads files of `torch.save` without PyTorch and without running them.

Such a file is a zip archive: `*/data.pkl` describes the object, and each
tensor's bytes lie in `*/data/<key>`. A pickle can name any function of any
module and have it called. Here it may name only what rebuilds a tensor or a
plain container; every other name is an error, and `pickle_data` runs nothing.
"""

import math
import os
import pickle
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from ifa_jax.files import archives, pickle_data
from ifa_jax.files.shown import shown

_DTYPES = {
  "torch.DoubleStorage": np.float64,
  "torch.FloatStorage": np.float32,
  "torch.HalfStorage": np.float16,
  "torch.BFloat16Storage": ml_dtypes.bfloat16,
  "torch.LongStorage": np.int64,
  "torch.IntStorage": np.int32,
  "torch.ShortStorage": np.int16,
  "torch.CharStorage": np.int8,
  "torch.ByteStorage": np.uint8,
  "torch.BoolStorage": np.bool_,
}


# A tensor may repeat its storage, as torch's `expand` does, up to so many
# elements; a file of a few bytes could ask for any number.
_MOST_REPEATED = 1 << 20


def load(path: str | os.PathLike[str]) -> Any:
  """Returns the object in a `torch.save` file, its tensors as numpy arrays.

  Args:
    path: a zip-format file, as `torch.save` writes since PyTorch 1.6.

  Raises:
    ValueError: for a file that is no such archive, is damaged, or names
      anything but tensors and plain containers. The message names the file.
    OSError: if it cannot be opened.
  """
  with open(path, "rb") as file:
    try:
      with zipfile.ZipFile(file) as archive:
        archives.check_size(archive)
        return _load_archive(archive)
    except zipfile.BadZipFile as error:
      raise ValueError(f"{path}: {_why_no_archive(file, error)}") from None
    except pickle.UnpicklingError as error:
      raise ValueError(f"{path}: {error}") from None
    except Exception as error:
      # Damage meets the archive and numpy with whatever error it happens to
      # cause, so no list of types would be complete.
      reason = " ".join(str(error).split())
      raise ValueError(
        f"{path}: damaged ({type(error).__name__}: {reason})"
      ) from None


def _why_no_archive(file: BinaryIO, error: Exception) -> str:
  """Returns what to do about a file of the old format, or what it is not."""
  file.seek(0)
  if file.read(2) == pickle.PROTO + b"\x02":
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
  storages = _Storages(archive, root)
  pickled = archive.read(described[0])
  return pickle_data.load(pickled, _CALLS, _DTYPES.keys(), storages.read)


class _Storages:
  """The numbers that the tensors of an archive are views of."""

  def __init__(self, archive: zipfile.ZipFile, root: str):
    self._archive = archive
    self._root = root
    self._read: dict[str, np.ndarray] = {}

  def read(self, pid: Any) -> np.ndarray:
    """Returns the storage that a persistent id names."""
    kind, storage_type, key, _, _ = pid
    of_tensor = kind == "storage" and isinstance(key, str)
    if not of_tensor or not isinstance(storage_type, pickle_data.Name):
      raise pickle.UnpicklingError(
        f"want a tensor's storage, found {shown(pid)}"
      )
    if key not in self._read:
      raw = self._archive.read(f"{self._root}data/{key}")
      self._read[key] = np.frombuffer(raw, _DTYPES[storage_type.text])
    return self._read[key]


def _rebuild_tensor(
  storage: np.ndarray,
  offset: int,
  size: tuple[int, ...],
  stride: tuple[int, ...],
  *_: Any,
) -> np.ndarray:
  """Returns the view of a storage that a tensor is; offsets in elements."""
  last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
  if min((offset, *size, *stride), default=0) < 0 or (
    math.prod(size) and last >= len(storage)
  ):
    raise pickle.UnpicklingError(
      f"a tensor of shape {shown(tuple(size))} reaches beyond its storage of"
      f" {len(storage)} elements"
    )
  if math.prod(size) > max(len(storage), _MOST_REPEATED):
    raise pickle.UnpicklingError(
      f"a tensor of shape {shown(tuple(size))} repeats its storage of"
      f" {len(storage)} elements"
    )
  steps = [s * storage.itemsize for s in stride]
  return np.lib.stride_tricks.as_strided(
    storage[offset:], size, steps, writeable=False
  )


def _rebuild_parameter(data: np.ndarray, *_: Any) -> np.ndarray:
  return data


def _empty_dict() -> dict[Any, Any]:
  # Items come later, each by an opcode that looks at its key.
  return {}


_CALLS: dict[str, Callable[..., Any]] = {
  "collections.OrderedDict": _empty_dict,
  "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
  "torch._utils._rebuild_parameter": _rebuild_parameter,
}
