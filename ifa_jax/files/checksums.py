"""CRC32C of a folder's files, stored in the folder.

Orbax checks its own files only in part: flipped bytes within an array are
restored as other weights.
"""

import json
import os

import google_crc32c

from ifa_jax.files import json_file

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
    with open(path, encoding="utf-8") as file:
      expected = dict(json.load(file))
    for name, checksum in expected.items():
      if not name.startswith(below):
        continue
      place = os.path.join(folder, name)
      if (found := _checksum(place)) != checksum:
        return f"{place}: expected CRC32C {checksum}, got {found}"
  except OSError as error:
    return f"{error.filename}: {error.strerror}"
  except ValueError as error:
    return f"{path}: expected checksums in JSON ({error})"
  return None


def _checksum(path: str) -> str:
  """Returns eight hex digits."""
  checksum = google_crc32c.Checksum()
  with open(path, "rb") as file:
    while chunk := file.read(_CHUNK_BYTES):
      checksum.update(chunk)  # pyright: ignore[reportUnknownMemberType]
  return checksum.hexdigest().decode()
