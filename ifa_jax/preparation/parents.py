"""Folders above a result, which a failed command deletes again."""

import contextlib
import os
import pathlib
from collections.abc import Generator


@contextlib.contextmanager
def removed_on_error(path: str | os.PathLike[str]) -> Generator[None]:
  """Deletes, after an error, the empty folders that were made for a path.

  That is `path` itself and the folders above it; those that were there before,
  or that hold something, stay.
  """
  path = pathlib.Path(path).absolute()
  # The innermost one first.
  absent = [x for x in (path, *path.parents) if not os.path.lexists(x)]
  try:
    yield
  except BaseException:
    for folder in absent:
      # Something else may be in it by now.
      with contextlib.suppress(OSError):
        folder.rmdir()
    raise
