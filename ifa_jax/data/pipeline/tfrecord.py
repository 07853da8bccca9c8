"""Random access to the records of TFRecord shards.

A tf.data shuffle mixes only the rows in its buffer, and resumes by reading all
earlier rows again. An index of the records gives an exact shuffle in constant
memory, access to any batch, and the same batches on any number of processes.
"""

import os
import struct
import weakref
from collections.abc import Iterator, Sequence

import google_crc32c

# A record: uint64 length, uint32 checksum of the length, the bytes, their
# checksum.
_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")


def masked_checksum(data: bytes) -> int:
  """Returns the CRC-32C of TFRecord files: rotated, with an offset."""
  crc = google_crc32c.value(data)
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


class Shards:
  """The records of several TFRecord files as one sequence of bytes.

  Safe to read from several threads.

  Attributes:
    lengths: number of records of each file.
    num_bytes: size of all records, without TFRecord's framing.
  """

  def __init__(self, paths: Sequence[str]):
    """Indexes every record.

    Raises:
      ValueError: for a file that is truncated or damaged, naming it.
    """
    self._paths = list(paths)
    self._files: list[int] = []
    # Registered first: an error below must not leak descriptors.
    weakref.finalize(self, _close, self._files)
    # (file number, offset, length) of each record.
    self._index: list[tuple[int, int, int]] = []
    lengths = []
    for number, path in enumerate(self._paths):
      file = os.open(path, os.O_RDONLY)
      self._files.append(file)
      places = [(number, *place) for place in _find_records(path, file)]
      self._index += places
      lengths.append(len(places))
    self.lengths = tuple(lengths)
    self.num_bytes = sum(length for _, _, length in self._index)

  def __len__(self) -> int:
    """Returns the number of records."""
    return len(self._index)

  def __getitem__(self, row: int) -> bytes:
    """Returns a record.

    Raises:
      ValueError: if its checksum does not match, naming file and position.
    """
    number, offset, length = self._index[row]
    # pread takes its own position; seek and read would race between threads.
    data = os.pread(self._files[number], length + _CHECKSUM.size, offset)
    data, stored = data[:length], data[length:]
    if _CHECKSUM.pack(masked_checksum(data)) != stored:
      raise ValueError(
        f"{self._paths[number]}: the record at byte {offset} is damaged (its"
        " checksum does not match); prepare the dataset again"
      )
    return data


def _close(files: Sequence[int]) -> None:
  for file in files:
    os.close(file)


def _find_records(path: str, file: int) -> Iterator[tuple[int, int]]:
  """Yields (offset, length) of every record of an open file."""
  size = os.fstat(file).st_size
  position = 0
  while position < size:
    # Reads headers only: payloads are verified when a record is read.
    header = os.pread(file, _HEADER.size, position)
    start = position + _HEADER.size
    length, checksum = (
      _HEADER.unpack(header) if len(header) == _HEADER.size else (0, None)
    )
    if (
      checksum != masked_checksum(header[:8])
      or start + length + _CHECKSUM.size > size
    ):
      raise ValueError(
        f"{path}: damaged or truncated after byte {position} of {size};"
        " prepare the dataset again"
      )
    yield start, length
    position = start + length + _CHECKSUM.size
