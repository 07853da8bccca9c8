"""Prints what is loaded when a run starts, and when it comes to its rows."""

import sys

from ifa_jax import evaluate, experiment, train  # noqa: F401
from ifa_jax.training import pretrained  # noqa: F401


def print_packages() -> None:
  print(*sorted({name.split(".")[0] for name in sys.modules}))


print_packages()
from ifa_jax.data import pipeline  # noqa: E402, F401

print_packages()
