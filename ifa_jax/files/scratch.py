"""A hidden folder to write in, whose like go when their process is gone."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from typing import IO

_LOCK = "lock"


@contextlib.contextmanager
def folder(parent: str | os.PathLike[str], prefix: str) -> Generator[str]:
  """Gives a new folder, and deletes it in the end.

  Deletes before what processes left there that were killed. A process that is
  alive holds a lock, and its folder is left alone.

  Args:
    parent: where; must exist.
    prefix: what the names of these folders begin with, and no others do.
  """
  _clear(parent, prefix)
  path, lock = _locked(parent, prefix)
  with lock:
    try:
      yield path
    finally:
      shutil.rmtree(path, ignore_errors=True)


def _clear(parent: str | os.PathLike[str], prefix: str) -> None:
  for name in os.listdir(parent):
    if not name.startswith(prefix):
      continue
    path = os.path.join(parent, name)
    # Another may be deleting it too.
    with (
      contextlib.suppress(BlockingIOError, FileNotFoundError),
      _open(path) as lock,
    ):
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
      shutil.rmtree(path, ignore_errors=True)


def _locked(
  parent: str | os.PathLike[str], prefix: str
) -> tuple[str, IO[bytes]]:
  """Makes a folder and locks it."""
  while True:
    path = tempfile.mkdtemp(prefix=prefix, dir=parent)
    # Until it is locked, another process takes it for one that was left.
    with contextlib.suppress(FileNotFoundError):
      lock = _open(path)
      fcntl.flock(lock, fcntl.LOCK_EX)
      if os.path.exists(os.path.join(path, _LOCK)):
        return path, lock
      lock.close()


def _open(path: str) -> IO[bytes]:
  return open(os.path.join(path, _LOCK), "ab")
