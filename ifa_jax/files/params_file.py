"""Parameters as a safetensors file.

A tensor's name is its path in the model with "." between the parts, such as
`text.layer_3.attention.query.kernel`, as in PyTorch's state dicts and the Flax
models of transformers; the hub groups tensors by it. Kernels keep Flax's
orientation, [in, out].
"""

# Neither safetensors nor Flax's traverse_util declare their results.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from ifa_jax.files.shown import one_line

FILE = "model.safetensors"

_SEPARATOR = "."
# transformers looks up a file's framework here.
_METADATA = {"format": "flax"}
_DTYPE = "F32"


def write(path: str | os.PathLike[str], params: Mapping[str, Any]) -> None:
  """Writes nested dicts of arrays as float32."""
  import safetensors.numpy

  flat: dict[str, Any] = traverse_util.flatten_dict(params, sep=_SEPARATOR)
  arrays = {
    name: np.ascontiguousarray(array, np.float32)
    for name, array in flat.items()
  }
  safetensors.numpy.save_file(arrays, path, _METADATA)
  # The library makes new files readable by their owner only.
  mode = os.stat(os.path.dirname(os.path.abspath(path))).st_mode
  os.chmod(path, mode & 0o666)


def read(
  path: str | os.PathLike[str], like: Mapping[str, Any]
) -> dict[str, Any]:
  """Returns the parameters in a file, nested dicts of float32 arrays.

  The expected ones are nested dicts of objects with a `shape`.

  Raises:
    ValueError: if the file is missing, damaged, or holds other tensors than
      `like`; names the file and the first tensor.
  """
  import safetensors

  flat: dict[str, Any] = traverse_util.flatten_dict(like, sep=_SEPARATOR)
  try:
    with safetensors.safe_open(path, framework="numpy") as file:
      _check(file, {name: leaf.shape for name, leaf in flat.items()})
      found = {name: file.get_tensor(name) for name in flat}
  except (OSError, safetensors.SafetensorError) as error:
    raise ValueError(
      f"{path}: expected a safetensors file, got none that can be read"
      f" ({one_line(error)})"
    ) from None
  except ValueError as error:
    raise ValueError(f"{path}: {error}") from None
  return traverse_util.unflatten_dict(found, sep=_SEPARATOR)


def digest(arrays: Mapping[str, np.ndarray]) -> str:
  """Returns the sha256 of names, shapes and float32 values, in their order."""
  found = hashlib.sha256()
  for path, array in arrays.items():
    found.update(f"{path} {array.shape}\n".encode())
    found.update(np.ascontiguousarray(array, np.float32).data)
  return found.hexdigest()


def _check(file: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
  """Compares names, shapes and dtypes in the header of a file."""
  names, reason = {*file.keys()}, ""
  if missing := sorted(shapes.keys() - names):
    reason = f"none named {missing[0]} ({len(missing)} are missing)"
  elif extra := sorted(names - shapes.keys()):
    reason = f"{extra[0]!r:.80} in addition ({len(extra)} are not in the model)"
  if reason:
    raise ValueError(f"expected {len(shapes)} tensors, got {reason}")
  for name, shape in shapes.items():
    found = file.get_slice(name)
    got = (found.get_dtype(), tuple(found.get_shape()))
    if got != (_DTYPE, shape):
      raise ValueError(f"{name}: expected {(_DTYPE, shape)}, got {got}")
