"""CRC32C of a folder's files, stored in the folder.

Orbax checks its own files only in part: flipped bytes within an array are
restored as other weights.
"""

import os
from typing import Any

import google_crc32c

from ifa_jax.files import json_file
from ifa_jax.files.shown import shown

FILE = "crc32c.json"

_CHUNK_BYTES = 1 << 22


def write(folder: str | os.PathLike[str]) -> None:
  """Writes `crc32c.json`: relative path -> checksum, of all files."""
  checksums = {
    os.path.relpath(path, folder): _checksum(path)
    for path in sorted(
      os.path.join(parent, name)
      for parent, _, names in os.walk(folder)
      for name in names
    )
  }
  json_file.write(os.path.join(folder, FILE), checksums)


def damage(folder: str | os.PathLike[str], below: str = "") -> str | None:
  """Returns the first difference from `crc32c.json`, naming a file, or None.

  Files added after `write` are ignored. `below` is a prefix of the relative
  paths to check.
  """
  path = os.path.join(folder, FILE)
  try:
    listed: dict[str, Any] = json_file.load(path)
  except OSError as error:
    return f"{path}: {error.strerror}"
  except ValueError as error:
    return str(error)
  if not isinstance(listed, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
    return f"{path}: expected checksums by file, got {shown(listed)}"
  for name, checksum in listed.items():
    if name.startswith(below) and (
      found := _difference(folder, name, checksum)
    ):
      return found
  return None


def _difference(
  folder: str | os.PathLike[str], name: str, checksum: Any
) -> str | None:
  place = os.path.join(folder, name)
  try:
    found = _checksum(place)
  except OSError as error:
    return f"{place}: {error.strerror}"
  except ValueError:  # Such as a name with a zero byte.
    return f"{os.path.join(folder, FILE)}: expected files, got {shown(name)}"
  if found == checksum:
    return None
  return f"{place}: expected CRC32C {shown(checksum)}, got {found}"


def _checksum(path: str) -> str:
  """Returns eight hex digits."""
  checksum = google_crc32c.Checksum()
  with open(path, "rb") as file:
    while chunk := file.read(_CHUNK_BYTES):
      checksum.update(chunk)  # pyright: ignore[reportUnknownMemberType]
  return checksum.hexdigest().decode()
