"""What was found in a tree's pictures so far, kept beside the boxes file.

    {"settings": {"threshold": 0.2, ...}, "versions": {"torch": "2.13.0", ...}}
    {"pictures": [{"name": "a.jpg", "num_bytes": 9120, "names": ["Rome"],
                   "boxes": [...], "reason": null}]}

A first line with the settings, then one for each batch of pictures. A line is
written at once, so that a kill can only tear the last one, which is dropped.
Of a picture that occurs twice the last entry counts.
"""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ifa_jax.files.shown import shown
from ifa_jax.preparation.objects.tree import Wanted

# Where a model lies and what it is called change no box.
_FREE = ("name", "commit")
_ENTRY_KEYS = {"name", "num_bytes", "names", "boxes", "reason"}


class Journal:
  """Reads a journal and goes on with it. Use as a context manager."""

  def __init__(
    self,
    path: str,
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
  ):
    """Opens a journal, or begins one.

    Args:
      path: of the file.
      settings: what the boxes depend on; plain values.
      versions: of the packages, which may differ from those of the beginning.

    Raises:
      ValueError: if it was made with other settings, if it is damaged, or if
        another process writes to it.
    """
    self._path = path
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
    if not lines:
      self._append({"settings": settings, "versions": versions})
    else:
      self._check(lines[0], settings)
      for line in lines[1:]:
        self._keep(line["pictures"])

  def __enter__(self) -> "Journal":
    """Returns itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Closes the file, which lets others write."""
    self._file.close()

  def entry(self, picture: Wanted) -> dict[str, Any] | None:
    """Returns what is known of a picture, None if it is to be looked at.

    That is so for a new one, and for one whose file or names have changed.
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
    boxes: Sequence[list[dict[str, Any]]],
    reasons: Sequence[str | None],
  ) -> None:
    """Appends a batch.

    Args:
      pictures: that were looked at.
      boxes: found in each.
      reasons: why a picture could not be looked at, None for those that could.
    """
    entries = [
      {
        "name": picture.name,
        "num_bytes": picture.num_bytes,
        "names": list(picture.names),
        "boxes": found,
        "reason": reason,
      }
      for picture, found, reason in zip(pictures, boxes, reasons, strict=True)
    ]
    self._append({"pictures": entries})
    self._keep(entries)

  def _keep(self, entries: Sequence[dict[str, Any]]) -> None:
    self._entries |= {entry["name"]: entry for entry in entries}

  def _append(self, line: Mapping[str, Any]) -> None:
    """Writes a line through to the disk."""
    self._file.write(json.dumps(line).encode() + b"\n")
    self._file.flush()
    os.fsync(self._file.fileno())

  def _read(self) -> list[dict[str, Any]]:
    """Returns all whole lines; cuts off what stands behind them."""
    self._file.seek(0)
    read, end = [], 0
    for number, text in enumerate(self._file, start=1):
      if not text.endswith(b"\n"):
        break
      read.append(self._parse(text, number))
      end += len(text)
    self._file.truncate(end)
    return read

  def _parse(self, text: bytes, number: int) -> dict[str, Any]:
    """Reads a line."""
    key = "settings" if number == 1 else "pictures"
    try:
      line = json.loads(text)
    except (ValueError, RecursionError):
      line = {}
    found = line.get(key) if isinstance(line, dict) else None
    if not (isinstance(found, dict) if number == 1 else _are_entries(found)):
      raise ValueError(
        f"{self._path}:{number}: want a journal's line with {key!r}, found"
        f" {text[:60]!r}; move the file away to begin anew"
      )
    return line

  def _check(self, first: Mapping[str, Any], settings: Mapping[str, Any]):
    """Raises ValueError if a journal was made with other settings."""
    for key, wanted in settings.items():
      found = first["settings"].get(key)
      if _without_free(found) != _without_free(wanted):
        raise ValueError(
          f"{self._path}: made with {key} {_show(found)}, asked for"
          f" {_show(wanted)}; choose that again, or another --out, or move the"
          " file away to look at all pictures anew"
        )


def _are_entries(found: Any) -> bool:
  """Tells the entries of a batch of pictures from all else."""
  return isinstance(found, list) and all(
    isinstance(entry, dict)
    and entry.keys() >= _ENTRY_KEYS
    and isinstance(entry["name"], str)
    for entry in found
  )


def _without_free(value: Any) -> Any:
  if not isinstance(value, Mapping):
    return value
  return {key: x for key, x in value.items() if key not in _FREE}


def _show(value: Any) -> str:
  """Returns a setting as a message has it."""
  if not isinstance(value, Mapping) or not {"name", "sha256"} <= value.keys():
    return shown(value)
  return f"{value['name']} (sha256 {value['sha256'][:12]})"
