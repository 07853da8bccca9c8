"""The kinds of files of posts: JSON lines and Parquet, by their extensions."""

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

_MODULES = {".jsonl": "lines", ".parquet": "parquet"}


class Kind(Protocol):
  """The functions of `lines` and `parquet`."""

  def places(self, path: str) -> Iterator[tuple[Sequence[int], int]]:
    """Yields the place of each post and the number of its questions."""
    ...

  def read(self, path: str, place: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yields the posts from a place on."""
    ...

  def write(
    self, path: str, found: Iterable[Mapping[str, Any]], source: str
  ) -> None:
    """Writes the records of posts of the file `source`."""
    ...


def of_file(path: str) -> Kind:
  """Returns the kind of a file; any other extension is of JSON lines."""
  name = _MODULES.get(os.path.splitext(path)[1], "lines")
  return cast(Kind, importlib.import_module(f"{__package__}.{name}"))


def find(path: str) -> list[str]:
  """Returns a file as it is, or the files of posts in a folder, sorted.

  Raises:
    ValueError: for a folder without any.
    OSError: if there is neither.
  """
  if not os.path.isdir(path):
    os.stat(path)
    return [path]
  names = sorted(
    name
    for name in os.listdir(path)
    if os.path.splitext(name)[1] in _MODULES and not name.startswith(".")
  )
  if not names:
    raise ValueError(
      f"--input: expected files {' or '.join(f'*{x}' for x in _MODULES)} in the"
      f" folder {path}, got none"
    )
  return [os.path.join(path, name) for name in names]
