"""Imports packages without what they would load beside, for nothing.

TensorFlow loads Keras where it is installed, and tensorboardX PyTorch: seconds
of a command's start, for parts that this project does not use.
"""

import contextlib
import gc
import sys
from collections.abc import Generator


@contextlib.contextmanager
def without(package: str) -> Generator[None]:
  """Has imports inside go on as if a package were not installed.

  One that is loaded already stays. Behind it, the package can be imported as
  ever.

  Args:
    package: which the imported one must be able to do without.
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
  """Keeps Python's garbage collector out of what is loaded inside.

  Modules and their functions are hundreds of thousands of objects that stay.
  The collector would go through them several times while they are loaded, a
  tenth of a start, and again at each later collection.
  """
  gc.disable()
  try:
    yield
  finally:
    gc.freeze()
    gc.enable()
