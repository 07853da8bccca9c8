"""Random access to the records of TFRecord shards.

A tf.data shuffle can only mix what its buffer holds, and resumes by reading
again what it has already read. Knowing where each record lies gives an exact
shuffle in constant memory, any batch at once, and the same batches on any
number of processes.
"""

import collections
import os
import struct
import threading
import weakref
from collections.abc import Sequence

import google_crc32c

# A record: uint64 length, uint32 checksum of it, the bytes, their checksum.
_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")


def masked_checksum(data: bytes) -> int:
  """Returns the CRC-32C that TFRecord files store: rotated, with an offset."""
  crc = google_crc32c.value(data)
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


class Shards:
  """The records of some TFRecord files as one sequence of bytes.

  Safe to read from several threads: every read names its own position.
  """

  def __init__(self, paths: Sequence[str]):
    """Finds every record.

    Raises:
      ValueError: for a file that is cut off or damaged, naming it.
    """
    self._paths = list(paths)
    # One (file number, offset, length) for each record.
    self._places = [
      (number, *place)
      for number, path in enumerate(self._paths)
      for place in _find_records(path)
    ]
    self._files: dict[int, int] = {}
    weakref.finalize(self, _close, self._files)
    self._lock = threading.Lock()

  def __len__(self) -> int:
    """Returns the number of records."""
    return len(self._places)

  @property
  def lengths(self) -> tuple[int, ...]:
    """Number of records of each file."""
    counts = collections.Counter(number for number, _, _ in self._places)
    return tuple(counts[number] for number in range(len(self._paths)))

  @property
  def num_bytes(self) -> int:
    """Bytes of all records together."""
    return sum(length for _, _, length in self._places)

  def __getitem__(self, row: int) -> bytes:
    """Returns a record.

    Raises:
      ValueError: if its checksum does not match, naming file and position.
    """
    number, offset, length = self._places[row]
    data = os.pread(self._file(number), length + _CHECKSUM.size, offset)
    data, stored = data[:length], data[length:]
    if _CHECKSUM.pack(masked_checksum(data)) != stored:
      raise ValueError(
        f"{self._paths[number]}: the record at byte {offset} is damaged (its"
        " checksum does not match); prepare the dataset again"
      )
    return data

  def _file(self, number: int) -> int:
    with self._lock:
      if number not in self._files:
        self._files[number] = os.open(self._paths[number], os.O_RDONLY)
      return self._files[number]


def _close(files: dict[int, int]) -> None:
  for file in files.values():
    os.close(file)


def _find_records(path: str) -> list[tuple[int, int]]:
  """Returns (offset, length) of every record of a file."""
  places = []
  size = os.path.getsize(path)
  with open(path, "rb") as file:
    position = 0
    while position < size:
      file.seek(position)
      header = file.read(_HEADER.size)
      start = position + _HEADER.size
      length, checksum = (
        _HEADER.unpack(header) if len(header) == _HEADER.size else (0, None)
      )
      position = start + length + _CHECKSUM.size
      if checksum != masked_checksum(header[:8]) or position > size:
        raise ValueError(
          f"{path}: damaged or cut off behind byte {start - _HEADER.size} of"
          f" {size}; prepare the dataset again"
        )
      places.append((start, length))
  return places
