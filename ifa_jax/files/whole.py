"""Folders that appear complete or not at all."""

import contextlib
import os
from collections.abc import Generator

from ifa_jax.files import scratch


@contextlib.contextmanager
def folder(path: str | os.PathLike[str]) -> Generator[str]:
  """Yields a folder to fill, which is moved to `path` when all is written.

  After an error or a kill there is nothing at `path`; the hidden folder that a
  kill leaves next to it is deleted by the next attempt.

  Raises:
    ValueError: if there is something at `path` already.
  """
  target = os.path.abspath(path)
  check_free(target)
  parent, name = os.path.split(target)
  os.makedirs(parent, exist_ok=True)
  with scratch.folder(parent, f".{name}.partial-") as hidden:
    partial = os.path.join(hidden, name)
    os.mkdir(partial)
    yield partial
    # Replaces an empty folder too.
    os.rename(partial, target)


def check_free(path: str | os.PathLike[str]) -> None:
  """Raises ValueError for a file, or a folder that is not empty."""
  is_empty = os.path.isdir(path) and not os.listdir(path)
  if os.path.lexists(path) and not is_empty:
    raise ValueError(
      f"{path}: expected a new path or an empty folder, got an existing path;"
      " nothing is overwritten"
    )
