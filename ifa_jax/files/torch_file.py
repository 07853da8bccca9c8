"""Reads files of `torch.save` without PyTorch and without running their code.

Such a file is a zip archive: `*/data.pkl` describes the object, and
`*/data/<key>` holds each tensor's bytes. Python's unpickler imports and calls
whatever a pickle names, sets attributes, and allocates as much as the file
asks for. The subclass here builds tensors and plain containers only.
"""

# Python's unpickler in Python, whose opcodes can be taken away one by one.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import io
import math
import os
import pickle
import pickletools
import zipfile
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from ifa_jax.files import archives
from ifa_jax.files.shown import one_line, shown

# A tensor may repeat its storage, as torch's `expand` does, up to so many
# elements; a file of a few bytes could ask for any number.
_MAX_REPEATED = 1 << 20

# Without sets, buffers and instances. BYTEARRAY8 allocates before it reads.
_OPCODES = """
  PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE
  BINFLOAT BININT BININT1 BININT2 LONG1 LONG4
  SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8
  EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT
  BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET
  GLOBAL STACK_GLOBAL REDUCE BINPERSID
"""

_ONLY = "expected tensors and plain containers only, got"


def load(path: str | os.PathLike[str]) -> Any:
  """Returns the object in a `torch.save` file, its tensors as numpy arrays.

  Args:
    path: a zip-format file, as `torch.save` writes since PyTorch 1.6.

  Raises:
    ValueError: if the file is no such archive, is damaged, or holds anything
      but tensors and plain containers; names the file.
    OSError: if it cannot be opened.
  """
  with open(path, "rb") as file:
    try:
      with zipfile.ZipFile(file) as archive:
        archives.check_size(archive)
        return _Unpickler(archive).load()
    except zipfile.BadZipFile as error:
      raise ValueError(f"{path}: {_not_an_archive(file, error)}") from None
    except pickle.UnpicklingError as error:
      raise ValueError(f"{path}: {error}") from None
    except Exception as error:
      # Damage reaches zipfile, pickle and numpy, whose errors are of any type.
      raise ValueError(
        f"{path}: damaged ({type(error).__name__}: {one_line(error)})"
      ) from None


def _not_an_archive(file: BinaryIO, error: Exception) -> str:
  file.seek(0)
  if file.read(2) == pickle.PROTO + b"\x02":
    return (
      "expected a zip archive, got the format of torch.save before PyTorch 1.6;"
      " where PyTorch is installed, save it again:"
      " torch.save(torch.load(FILE, weights_only=True), FILE)"
    )
  return f"expected a zip archive as torch.save writes it, got {error}"


class _Opcodes(dict[int, Any]):
  """The opcodes of a pickle that are followed."""

  def __missing__(self, code: int) -> Any:
    known = {opcode.code: opcode.name for opcode in pickletools.opcodes}
    name = known.get(chr(code), hex(code))
    raise pickle.UnpicklingError(f"{_ONLY} the opcode {name}")


class _Unpickler(pickle._Unpickler):
  """Reads `data.pkl`; imports nothing and calls only `_GLOBALS`."""

  stack: list[Any]
  dispatch = _Opcodes(
    (code, pickle._Unpickler.dispatch[code])
    for code in (getattr(pickle, name)[0] for name in _OPCODES.split())
  )

  def __init__(self, archive: zipfile.ZipFile):
    found = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(found) != 1:
      raise pickle.UnpicklingError(
        f"expected one */data.pkl in the archive, got {found or 'none'}"
      )
    super().__init__(io.BytesIO(archive.read(found[0])))
    self._archive = archive
    self._root = found[0].removesuffix("data.pkl")
    self._storages: dict[str, np.ndarray] = {}

  def find_class(self, module: str, name: str) -> Any:
    """Returns a dtype or function for an allowed name; imports nothing."""
    full = f"{module}.{name}"
    if full not in _GLOBALS:
      raise pickle.UnpicklingError(f"{_ONLY} the name {shown(full)}")
    return _GLOBALS[full]

  def persistent_load(self, pid: Any) -> np.ndarray:
    """Returns the storage that tensors are views of."""
    kind, dtype, key, _, _ = pid
    is_key = kind == "storage" and isinstance(key, str)
    if not is_key or not isinstance(dtype, np.dtype):
      raise pickle.UnpicklingError(
        f"expected a tensor's storage, got {shown(pid)}"
      )
    if key not in self._storages:
      raw = self._archive.read(f"{self._root}data/{key}")
      self._storages[key] = np.frombuffer(raw, dtype)  # pyright: ignore
    return self._storages[key]

  def load_setitem(self) -> None:
    """Adds one entry to a dict."""
    value, key = self.stack.pop(), self.stack.pop()
    self._fill([key, value])

  def load_setitems(self) -> None:
    """Adds the keys and values above the last mark to a dict."""
    self._fill(self.pop_mark())  # pyright: ignore

  def _fill(self, values: list[Any]) -> None:
    found = self.stack[-1]
    if not isinstance(found, dict):
      raise pickle.UnpicklingError(f"expected a dict, got {shown(found)}")
    for key, value in zip(values[::2], values[1::2], strict=True):
      # Hashing a tuple in a tuple in a ... would overflow the C stack.
      if not isinstance(key, str | int | float | bytes | None):
        raise pickle.UnpicklingError(
          f"expected plain keys of a dict, got a {type(key).__name__}"
        )
      found[key] = value

  def load_build(self) -> None:
    """Drops attributes, such as a state dict's versions of its modules."""
    self.stack.pop()

  dispatch[pickle.SETITEM[0]] = load_setitem
  dispatch[pickle.SETITEMS[0]] = load_setitems
  dispatch[pickle.BUILD[0]] = load_build


def _rebuild_tensor(
  storage: np.ndarray,
  offset: int,
  size: tuple[int, ...],
  stride: tuple[int, ...],
  *_: Any,
) -> np.ndarray:
  """Returns a view of a storage; offset and strides are in elements."""
  shape = f"a tensor of shape {shown(tuple(size))}"
  last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
  if min((offset, *size, *stride), default=0) < 0 or (
    math.prod(size) and last >= len(storage)
  ):
    raise pickle.UnpicklingError(
      f"{shape} reaches beyond its storage of {len(storage)} elements"
    )
  if math.prod(size) > max(len(storage), _MAX_REPEATED):
    raise pickle.UnpicklingError(
      f"{shape} repeats its storage of {len(storage)} elements"
    )
  steps = [s * storage.itemsize for s in stride]
  return np.lib.stride_tricks.as_strided(
    storage[offset:], size, steps, writeable=False
  )


def _rebuild_parameter(data: np.ndarray, *_: Any) -> np.ndarray:
  return data


def _empty_dict() -> dict[Any, Any]:
  # SETITEMS adds the items, and looks at their keys.
  return {}


_GLOBALS: dict[str, Any] = {
  "collections.OrderedDict": _empty_dict,
  "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
  "torch._utils._rebuild_parameter": _rebuild_parameter,
  "torch.DoubleStorage": np.dtype(np.float64),
  "torch.FloatStorage": np.dtype(np.float32),
  "torch.HalfStorage": np.dtype(np.float16),
  "torch.BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
  "torch.LongStorage": np.dtype(np.int64),
  "torch.IntStorage": np.dtype(np.int32),
  "torch.ShortStorage": np.dtype(np.int16),
  "torch.CharStorage": np.dtype(np.int8),
  "torch.ByteStorage": np.dtype(np.uint8),
  "torch.BoolStorage": np.dtype(np.bool_),
}
