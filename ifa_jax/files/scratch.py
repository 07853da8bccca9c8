"""Hidden working folders that do not outlive their process for long."""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from typing import IO

# Errors of file systems without locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

_LOCK = "lock"


@contextlib.contextmanager
def folder(parent: str | os.PathLike[str], prefix: str) -> Generator[str]:
  """Yields a new folder, and deletes it afterwards.

  First deletes the folders with this prefix that killed processes have left in
  `parent`. A process holds a lock while it runs, and its folder is kept; so are
  the folders of other users, and all on a file system without locks.
  """
  for name in os.listdir(parent):
    if name.startswith(prefix):
      _delete_if_unlocked(os.path.join(parent, name))
  path, lock = _make_locked(parent, prefix)
  with lock:
    try:
      yield path
    finally:
      shutil.rmtree(path, ignore_errors=True)


def _delete_if_unlocked(path: str) -> None:
  # Another process may hold it or delete it too, it may be another user's, and
  # the file system may have no locks.
  with contextlib.suppress(OSError), _open_lock(path) as lock:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    shutil.rmtree(path, ignore_errors=True)


def _make_locked(
  parent: str | os.PathLike[str], prefix: str
) -> tuple[str, IO[bytes]]:
  while True:
    path = tempfile.mkdtemp(prefix=prefix, dir=parent)
    # Until the lock is held, another process may delete the folder.
    with contextlib.suppress(FileNotFoundError):
      lock = _open_lock(path)
      _wait_for(lock)
      if os.path.exists(os.path.join(path, _LOCK)):
        return path, lock
      lock.close()


def _wait_for(lock: IO[bytes]) -> None:
  try:
    fcntl.flock(lock, fcntl.LOCK_EX)
  except OSError as error:
    if error.errno not in NO_LOCKS:
      raise


def _open_lock(path: str) -> IO[bytes]:
  return open(os.path.join(path, _LOCK), "ab")
