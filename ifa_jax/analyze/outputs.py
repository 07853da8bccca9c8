"""Files that analyses write: those of flags, and the predictions of draws."""

import os
import re

from ifa_jax.workdir.run_folder import RunFolder


def make_folders(*paths: str | None) -> None:
  """Creates the folders of files before the work of writing them.

  Args:
    *paths: of the files; None for one that is not asked for.

  Raises:
    OSError: if a folder cannot be created.
  """
  for path in filter(None, paths):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)


def write(path: str, text: str) -> None:
  """Writes a text file, completely or not at all."""
  folder, name = os.path.split(path)
  RunFolder(folder).write_text(name, text)


def remove_draws(folder: RunFolder, name: str) -> None:
  """Removes NAME_0.jsonl, NAME_1.jsonl, ...: there may be more than now."""
  file = re.compile(rf"{re.escape(name)}_\d+\.jsonl", re.ASCII)
  for found in filter(file.fullmatch, os.listdir(folder.path)):
    os.remove(folder.file(found))
