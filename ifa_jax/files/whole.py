"""Folders and files that appear complete or not at all."""

import contextlib
import errno
import os
import pathlib
import uuid
from collections.abc import Generator
from typing import Any

from ifa_jax.files import json_file, scratch

# Errors of file systems without hard links.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@contextlib.contextmanager
def folder(path: str | os.PathLike[str]) -> Generator[str]:
  """Yields a folder to fill, which is moved to `path` when all is written.

  After an error or a kill there is nothing at `path`; the hidden folder that a
  kill leaves next to it is deleted by the next attempt.

  Raises:
    ValueError: if there is something at `path` already.
  """
  check_free(path)
  # A folder cannot replace a link to the empty folder.
  target = os.path.realpath(path)
  parent, name = os.path.split(target)
  with made(parent), scratch.folder(parent, f".{name}.partial-") as hidden:
    partial = os.path.join(hidden, name)
    os.mkdir(partial)
    yield partial
    # Replaces an empty folder too.
    os.rename(partial, target)


@contextlib.contextmanager
def made(path: str | os.PathLike[str]) -> Generator[None]:
  """Creates a folder and those above it; an error deletes them if empty."""
  absolute = pathlib.Path(path).absolute()
  # The innermost one first.
  absent = [x for x in (absolute, *absolute.parents) if not os.path.lexists(x)]
  os.makedirs(path, exist_ok=True)
  try:
    yield
  except BaseException:
    for folder_made in absent:
      # Something else may be in it by now.
      with contextlib.suppress(OSError):
        folder_made.rmdir()
    raise


def check_free(path: str | os.PathLike[str]) -> None:
  """Raises ValueError for a file, or a folder that is not empty."""
  if not os.path.isdir(path) or os.listdir(path):
    _check_absent(path, "a new path or an empty folder")


def check_new(path: str | os.PathLike[str]) -> None:
  """Raises ValueError for any file or folder, even an empty one."""
  _check_absent(path, "a new path")


def _check_absent(path: str | os.PathLike[str], expected: str) -> None:
  if os.path.lexists(path):
    raise ValueError(
      f"{path}: expected {expected}, got an existing path; nothing is"
      " overwritten"
    )


def partial_name(path: str) -> str:
  """Returns the path of a file that is not complete, or how it begins."""
  return f"{path}.partial"


def write_new(path: str, value: Any) -> bool:
  """Writes a JSON file once, however many processes try at the same time.

  Returns:
    Whether this process has written it: if there is such a file, it stays.
  """
  partial = f"{partial_name(path)}-{uuid.uuid4().hex}"
  json_file.write(partial, value)
  try:
    _move_new(partial, path)
    is_first = True
  except (FileExistsError, FileNotFoundError):
    # Another process was first, and may have deleted this partial file.
    is_first = False
  _delete_partials(path)
  return is_first


def _move_new(source: str, target: str) -> None:
  """Renames a file, or raises FileExistsError."""
  try:
    os.link(source, target)
  except (FileExistsError, FileNotFoundError):
    raise
  except OSError as error:
    if error.errno not in _NO_LINKS:
      raise
    # Two processes that get here at the same moment both go on.
    if os.path.lexists(target):
      raise FileExistsError(target) from None
    os.replace(source, target)


def _delete_partials(path: str) -> None:
  folder, name = os.path.split(path)
  for found in os.listdir(folder):
    if found.startswith(partial_name(name)):
      with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(folder, found))
