"""CRC32C of a folder's files, kept in it: whether they are as written.

Orbax checks its own files in part: bytes that flip within an array come back as
other weights.
"""

import json
import os

import google_crc32c

FILE = "crc32c.json"

_CHUNK_BYTES = 1 << 22


def write(folder: str | os.PathLike[str]) -> None:
  """Writes `crc32c.json`: path below the folder -> checksum, of all files."""
  found = {
    name: _checksum(os.path.join(folder, name)) for name in _files(folder)
  }
  with open(os.path.join(folder, FILE), "w", encoding="utf-8") as file:
    json.dump(found, file, indent=2)
    file.flush()
    os.fsync(file.fileno())


def damage(folder: str | os.PathLike[str], below: str = "") -> str | None:
  """Returns what is wrong with a folder's files, naming one, or None.

  Args:
    folder: that `write` has been at; files that came later count for nothing.
    below: what the paths begin with that are looked at, by default all.
  """
  path = os.path.join(folder, FILE)
  try:
    with open(path, encoding="utf-8") as file:
      wanted = dict(json.load(file))
    for name, checksum in wanted.items():
      if not name.startswith(below):
        continue
      found = _checksum(os.path.join(folder, name))
      if found != checksum:
        place = os.path.join(folder, name)
        return f"{place}: want CRC32C {checksum}, found {found}"
  except OSError as error:
    return f"{error.filename}: {error.strerror}"
  except ValueError as error:
    return f"{path}: want checksums in JSON, found none ({error})"
  return None


def _files(folder: str | os.PathLike[str]) -> list[str]:
  return sorted(
    os.path.relpath(os.path.join(parent, name), folder)
    for parent, _, names in os.walk(folder)
    for name in names
  )


def _checksum(path: str) -> str:
  """Returns eight hex digits."""
  checksum = google_crc32c.Checksum()
  with open(path, "rb") as file:
    while chunk := file.read(_CHUNK_BYTES):
      checksum.update(chunk)  # pyright: ignore[reportUnknownMemberType]
  return checksum.hexdigest().decode()
