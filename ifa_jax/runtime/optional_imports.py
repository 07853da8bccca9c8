"""Faster imports: without unused optional dependencies or garbage collection.

TensorFlow loads Keras where it is installed, and tensorboardX PyTorch: seconds
of a command's start, for parts that this project does not use.
"""

import contextlib
import gc
import sys
from collections.abc import Generator


@contextlib.contextmanager
def without(package: str) -> Generator[None]:
  """Hides an optional package from the imports inside.

  A package that is already loaded stays visible. It can be imported normally
  afterwards.
  """
  if package in sys.modules:
    yield
    return
  # Python's own mark of a module that cannot be imported.
  sys.modules[package] = None  # pyright: ignore[reportArgumentType]
  try:
    yield
  finally:
    del sys.modules[package]


@contextlib.contextmanager
def uncollected() -> Generator[None]:
  """Suspends garbage collection, then exempts all objects loaded inside.

  Imports create hundreds of thousands of objects that are never freed.
  Collecting them repeatedly takes a tenth of a start, and time later.
  """
  gc.disable()
  try:
    yield
  finally:
    gc.freeze()
    gc.enable()
