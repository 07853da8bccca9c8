"""Prints what is loaded when a run starts, and when it comes to its rows."""

import sys

from ifa_jax.training import (  # noqa: F401
  evaluation,
  experiment,
  loop,
  pretrained,
)


def print_packages() -> None:
  print(*sorted({name.split(".")[0] for name in sys.modules}))


print_packages()
from ifa_jax.data.pipeline import dataset  # noqa: E402, F401

print_packages()
