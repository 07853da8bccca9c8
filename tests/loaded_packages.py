"""Prints the packages that are loaded when a run starts to train."""

import sys

from ifa_jax import evaluate, experiment, train, weights  # noqa: F401

print(*sorted({name.split(".")[0] for name in sys.modules}))
