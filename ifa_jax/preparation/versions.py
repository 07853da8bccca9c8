"""Versions of installed packages, for the record of a dataset."""

import importlib.metadata
import platform
from collections.abc import Iterable


def find(packages: Iterable[str]) -> dict[str, str]:
  """Returns package -> version, with Python's; absent ones are left out."""
  found = {"python": platform.python_version()}
  for package in packages:
    try:
      found[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      continue
  return found
