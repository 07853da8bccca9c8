"""Writes tensors in the format of `torch.save`, without PyTorch.

The counterpart of `torch_file`: a zip archive whose `data.pkl` describes an
OrderedDict of tensors, with each tensor's bytes in a member of their own.
"""

import os
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

_STORAGES = {
  np.dtype(np.float32): "FloatStorage",
  np.dtype(np.int64): "LongStorage",
}
_ROOT = "archive"


def save(
  path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray]
) -> None:
  """Writes name -> tensor as `torch.save` writes a state dict.

  Args:
    path: of the file; one that is there is overwritten.
    tensors: float32 or int64 arrays.
  """
  arrays = [np.asarray(array) for array in tensors.values()]
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr(f"{_ROOT}/data.pkl", _describe(tensors))
    archive.writestr(f"{_ROOT}/byteorder", "little")
    for key, array in enumerate(arrays):
      little = array.astype(array.dtype.newbyteorder("<"), copy=False)
      with archive.open(f"{_ROOT}/data/{key}", "w") as member:
        member.write(np.ascontiguousarray(little).data)
    archive.writestr(f"{_ROOT}/version", "3\n")


def _describe(tensors: Mapping[str, np.ndarray]) -> bytes:
  """Returns the pickle, which names functions that are not installed here.

  `pickle` itself would want to import them, so their opcodes are put together
  by hand and only plain values are left to it.
  """
  items = b"".join(
    _plain(name) + _tensor(key, array)
    for key, (name, array) in enumerate(tensors.items())
  )
  return (
    pickle.PROTO
    + b"\x02"
    + _ORDERED
    + _tuple_of(items, pickle.SETITEMS)
    + (pickle.STOP)
  )


def _tensor(key: int, array: np.ndarray) -> bytes:
  """Returns a call of `_rebuild_tensor_v2` on a storage of its own."""
  storage = _tuple_of(
    _plain("storage")
    + _named("torch", _STORAGES[array.dtype])
    + _plain(str(key))
    + _plain("cpu")
    + _plain(array.size)
  )
  strides = tuple(
    int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)
  )
  arguments = (
    storage
    + pickle.BINPERSID
    + _plain(0)
    + _plain(array.shape)
    + _plain(strides)
    + _plain(False)
    + _ORDERED
  )
  return (
    _named("torch._utils", "_rebuild_tensor_v2")
    + _tuple_of(arguments)
    + pickle.REDUCE
  )


def _named(module: str, name: str) -> bytes:
  return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _tuple_of(items: bytes, end: bytes = pickle.TUPLE) -> bytes:
  return pickle.MARK + items + end


def _plain(value: Any) -> bytes:
  """Returns a value's opcodes, without those that begin and end a pickle."""
  return pickle.dumps(value, protocol=2)[2:-1]


_ORDERED = (
  _named("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
)
