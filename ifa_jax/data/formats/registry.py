"""The formats of datasets by name."""

import os
from collections.abc import Mapping, Sequence

from ifa_jax.data.formats.fewrel import Fewrel
from ifa_jax.data.formats.jmere import Jmere
from ifa_jax.data.formats.jsonl import Jsonl
from ifa_jax.data.formats.mnre import Mnre
from ifa_jax.data.formats.more import More, Umre
from ifa_jax.data.formats.reader import Reader

_OF_WORDS = {"mnre": Mnre, "jsonl": Jsonl, "jmere": Jmere}
_OF_FOLDER = {**_OF_WORDS, "more": More, "umre": Umre}
# Formats that name their files, and whose entities are all in the text.
OF_WORDS = tuple(_OF_WORDS)
# Formats that name their files, and may have pictures.
OF_FOLDER = tuple(_OF_FOLDER)
FORMATS = (*OF_FOLDER, "fewrel")


def open_folder(name: str, raw_dir: str) -> Reader:
  """Opens a dataset of a format that names its files, one of `OF_FOLDER`.

  Raises:
    ValueError: if a folder or file is missing.
  """
  _check_folder(raw_dir)
  return _OF_FOLDER[name](raw_dir)


def open_reader(
  name: str,
  raw_dir: str,
  files: Mapping[str, Sequence[str]],
  shares: Sequence[int],
) -> Reader:
  """Opens a dataset.

  Args:
    name: one of `FORMATS`.
    raw_dir: its folder.
    files: split -> names of files, for a format that does not name them.
    shares: percents of one file for the splits, for such a format.

  Raises:
    ValueError: if a file is missing, or for files of a format that names them.
  """
  _check_folder(raw_dir)
  if name == "fewrel":
    return Fewrel(raw_dir, files, shares)
  given = [f"--{split}_files" for split, names in files.items() if names]
  given += ["--split"] if shares else []
  if given:
    raise ValueError(
      f"{given[0]}: expected it with --format=fewrel, got --format={name}"
    )
  return open_folder(name, raw_dir)


def _check_folder(raw_dir: str) -> None:
  if not os.path.isdir(raw_dir):
    raise ValueError(f"--raw_dir={raw_dir}: there is no such folder")
