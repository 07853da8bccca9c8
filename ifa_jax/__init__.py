"""IFAformer in JAX: multimodal relation extraction.

Importing this package loads neither TensorFlow, PyTorch nor transformers; the
parts that need them do.
"""

from ifa_jax import convert, models
from ifa_jax.batch import Batch
from ifa_jax.predictor import Predictor

__all__ = ["Batch", "Predictor", "convert", "models"]
