"""The results so far, in a file of JSON lines next to the file to write.

    {"settings": {"threshold": 0.2, ...}, "versions": {"torch": "2.13.0", ...}}
    {"pictures": [{"name": "a.jpg", "num_bytes": 9120, "names": ["Rome"],
                   "boxes": [...], "reason": null}]}

The first line has the settings, every other line a batch of pictures. A kill
can only cut off the last line, which is then dropped. Of several entries of a
picture, the last one counts. A picture that could not be read has a reason, and
no entry when the file is opened again: its disk may have failed for a moment.
"""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ifa_jax.files import json_file
from ifa_jax.files.shown import shown
from ifa_jax.preparation.per_picture.pictures import Wanted

# A model's place and name change no result.
_IGNORED = ("name", "commit")
_ENTRY_KEYS = {"name", "num_bytes", "names", "reason"}


class Journal:
  """Opens a journal, or starts one. Use as a context manager."""

  def __init__(
    self,
    path: str,
    kind: str,
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
  ):
    """Reads all entries, and keeps other processes out.

    Args:
      path: of the file.
      kind: key of the results in an entry, "boxes" above.
      settings: everything that results depend on; plain values.
      versions: of the packages; may differ from those of the first run.

    Raises:
      ValueError: if the journal has other settings, is damaged, or is in use by
        another process.
    """
    self._path, self._kind = path, kind
    self._file = open(path, "a+b")  # noqa: SIM115
    try:
      fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      self._file.close()
      raise ValueError(
        f"{path}: another process is writing to it; wait for its end"
      ) from None
    self._entries: dict[str, dict[str, Any]] = {}
    lines = self._read()
    if lines:
      self._check(lines[0]["settings"], settings)
    else:
      self._append({"settings": settings, "versions": versions})
    for line in lines[1:]:
      self._keep(line["pictures"])
    self._entries = {k: x for k, x in self._entries.items() if not x["reason"]}

  def __enter__(self) -> "Journal":
    """Returns itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Closes the file, so that other processes can open it."""
    self._file.close()

  def entry(self, picture: Wanted) -> dict[str, Any] | None:
    """Returns the entry of a picture, None if it must be read.

    That is so for a new picture, if its file or its names have changed, and if
    earlier runs could not read it.
    """
    entry = self._entries.get(picture.name)
    same = entry is not None and (
      entry["num_bytes"] == picture.num_bytes
      and entry["names"] == list(picture.names)
    )
    return entry if same else None

  def write(
    self,
    pictures: Sequence[Wanted],
    results: Sequence[Any],
    reasons: Sequence[str | None],
  ) -> None:
    """Adds a batch, and returns when it is on the disk.

    Args:
      pictures: that were read.
      results: of each.
      reasons: why a picture could not be read, None for those that could.
    """
    entries = [
      {
        "name": picture.name,
        "num_bytes": picture.num_bytes,
        "names": list(picture.names),
        self._kind: result,
        "reason": reason,
      }
      for picture, result, reason in zip(
        pictures, results, reasons, strict=True
      )
    ]
    self._append({"pictures": entries})
    self._keep(entries)

  def _keep(self, entries: Sequence[dict[str, Any]]) -> None:
    self._entries |= {entry["name"]: entry for entry in entries}

  def _append(self, line: Mapping[str, Any]) -> None:
    self._file.write(json.dumps(line).encode() + b"\n")
    self._file.flush()
    os.fsync(self._file.fileno())

  def _read(self) -> list[dict[str, Any]]:
    """Returns all complete lines, and drops an incomplete last one."""
    self._file.seek(0)
    lines, end = [], 0
    for text in self._file:
      if not text.endswith(b"\n"):
        break
      lines.append(self._parse(text, len(lines) + 1))
      end += len(text)
    self._file.truncate(end)
    return lines

  def _parse(self, text: bytes, number: int) -> dict[str, Any]:
    where = f"{self._path}:{number}"
    key = "settings" if number == 1 else "pictures"
    try:
      line = json_file.parse(text, where)
    except ValueError:
      line = None
    line = line if isinstance(line, dict) else {}
    found = line.get(key)
    is_valid = (
      isinstance(found, dict) if number == 1 else self._are_entries(found)
    )
    if not is_valid:
      raise ValueError(
        f"{where}: expected a journal's line with {key!r}, got {text[:60]!r};"
        " move the file away to start again"
      )
    return line

  def _check(self, found: Mapping[str, Any], settings: Mapping[str, Any]):
    """Raises ValueError if the journal was made with other settings."""
    for key, wanted in settings.items():
      if _without_ignored(found.get(key)) != _without_ignored(wanted):
        raise ValueError(
          f"{self._path}: expected {key} {_show(wanted)}, got"
          f" {_show(found.get(key))}; set that again, choose another file to"
          " write, or move the journal away to start again"
        )

  def _are_entries(self, found: Any) -> bool:
    return isinstance(found, list) and all(
      isinstance(entry, dict)
      and entry.keys() >= _ENTRY_KEYS | {self._kind}
      and isinstance(entry["name"], str)
      for entry in found
    )


def _without_ignored(value: Any) -> Any:
  if not isinstance(value, Mapping):
    return value
  return {key: x for key, x in value.items() if key not in _IGNORED}


def _show(value: Any) -> str:
  """Returns a model as its name and hash, anything else as it is."""
  if not isinstance(value, Mapping) or not {"name", "sha256"} <= value.keys():
    return shown(value)
  return f"{value['name']} (sha256 {value['sha256'][:12]})"
