"""Prints the packages loaded when a run starts, and when it reads rows.

Given "preparation", those loaded when rows are written.
"""

import sys


def print_packages() -> None:
  print(*sorted({name.split(".")[0] for name in sys.modules}))


def train() -> None:
  from ifa_jax.training import (  # noqa: F401
    evaluation,
    experiment,
    loop,
    pretrained,
  )

  print_packages()
  from ifa_jax.data.pipeline import dataset  # noqa: F401

  print_packages()


def prepare() -> None:
  from ifa_jax.preparation.mnre import builder  # noqa: F401

  print_packages()


{"training": train, "preparation": prepare}[sys.argv[1]]()
