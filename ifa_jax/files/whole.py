"""Folders that appear whole or not at all."""

import contextlib
import os
from collections.abc import Generator

from ifa_jax.files import scratch


@contextlib.contextmanager
def folder(path: str | os.PathLike[str]) -> Generator[str]:
  """Gives a folder to fill, which takes its place when all is written.

  After an error or a kill there is nothing at `path`; the hidden folder that a
  kill leaves beside it goes when the same is written again.

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
    # Over an empty folder too.
    os.rename(partial, target)


def check_free(path: str | os.PathLike[str]) -> None:
  """Raises ValueError for a file, or a folder that is not empty."""
  if os.path.isdir(path) and not os.listdir(path):
    return
  if os.path.lexists(path):
    raise ValueError(
      f"{path}: want a new name, or an empty folder, to write to; found"
      " something there, and nothing is overwritten"
    )
