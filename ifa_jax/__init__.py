"""IFAformer in JAX: multimodal relation extraction.

Importing this package loads nothing: each name below is loaded when it is first
asked for, so that a command which needs no JAX starts at once. TensorFlow,
PyTorch and transformers are loaded by the parts that need them. It sets a flag
of XLA, see `runtime.xla_flags`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ifa_jax.runtime import xla_flags

if TYPE_CHECKING:
  from ifa_jax import convert, models
  from ifa_jax.batch import Batch
  from ifa_jax.inference.predictor import Predictor

__version__ = "0.2.0"

_MODULES = ("convert", "models")
_CLASSES = {
  "Batch": "ifa_jax.batch",
  "Predictor": "ifa_jax.inference.predictor",
}

__all__ = ["Batch", "Predictor", "__version__", "convert", "models"]

xla_flags.avoid_wrong_sums()


def __getattr__(name: str) -> Any:
  """Loads a public name (PEP 562)."""
  if name in _MODULES:
    return importlib.import_module(f"{__name__}.{name}")
  if name in _CLASSES:
    return getattr(importlib.import_module(_CLASSES[name]), name)
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
  """Lists the public names."""
  return [*__all__]
