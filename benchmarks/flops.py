"""Floating-point operations: a model's, as counted twice, and a machine's.

A product of [m, k] and [k, n] has 2 m k n. Axis letters: `ifa_jax.models`; F is
the width between an MLP's two layers.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ifa_jax import benchmark
from ifa_jax.batch import Batch
from ifa_jax.models import build, parameters
from ifa_jax.models.base import System
from ifa_jax.models.config import ModelConfig, TextConfig, VisionConfig
from ifa_jax.training.eval_step import EvalStep


def count_flops(model: System, batch: Batch) -> float:
  """Returns the FLOPs of a model's probabilities, as XLA counts them.

  What is no product comes to less than 2 % of a large model. Dead code is left
  out, and nothing is compiled or computed.
  """
  shapes = parameters.abstract_params(model)
  lowered = jax.jit(EvalStep(build(model))).lower(shapes, batch)
  return lowered.cost_analysis()["flops"]


def of_prediction(model: ModelConfig, text_len: int) -> float:
  """Returns the FLOPs of one example's products, forward.

  Of the last layers the text's two markers are all that reaches the logits, so
  the visual one only lends keys and values.

  Args:
    model: IFAformer with a visual stream; all its pictures are there.
    text_len: T, padding included.
  """
  return sum(_parts(model, text_len).values())


def of_update(model: ModelConfig, text_len: int) -> float:
  """Returns the FLOPs of one example's products, forward and backward.

  Backward a product has two: one for each operand's gradient. Pixels need none.
  """
  parts = _parts(model, text_len)
  return 3 * sum(parts.values()) - parts["patches"]


def _parts(model: ModelConfig, text_len: int) -> Mapping[str, float]:
  text, vision = model.text, model.vision
  patches = sum(
    count * (size // vision.patch_size) ** 2
    for _, count, size in model.picture_slots
  )
  visual_len = 1 + patches
  keys = text_len + visual_len
  return {
    "text": (text.num_layers - 1) * _layer(text, text_len, keys),
    "visual": (vision.num_layers - 1) * _layer(vision, visual_len, keys),
    "last keys and values": 4 * keys * vision.hidden_dim**2,
    "markers": _layer(text, 2, keys) - 4 * 2 * text.hidden_dim**2,
    "patches": 2 * patches * 3 * vision.patch_size**2 * vision.hidden_dim,
    "head": 2 * 2 * text.hidden_dim * model.num_relations,
  }


def _layer(stream: TextConfig | VisionConfig, queries: int, keys: int) -> float:
  """Returns the FLOPs of four projections, attention, and the MLP."""
  width = stream.hidden_dim
  projections = 4 * 2 * queries * width**2
  attention = 2 * 2 * queries * keys * width
  return projections + attention + 2 * 2 * queries * width * stream.mlp_dim


def product_side() -> int:
  """Returns the side of square matrices that reach the device's best rate."""
  return 2048 if jax.default_backend() == "cpu" else 8192


class Product:
  """A large product of matrices, as the measure of a machine's best rate."""

  def __init__(self, side: int, dtype: str = "float32"):
    """Makes two square matrices and compiles their product."""
    rng = np.random.default_rng(0)
    left, right = (
      jnp.asarray(rng.normal(size=(side, side)), dtype) for _ in range(2)
    )
    # Of bfloat16 too, as the model's products; a CPU is slow in any other way.
    matmul = functools.partial(jnp.matmul, preferred_element_type=jnp.float32)
    multiply = jax.jit(matmul).lower(left, right).compile()
    self._once = lambda: multiply(left, right)
    self._flops = 2 * side**3
    self.run(0)

  def run(self, seconds: float) -> float:
    """Multiplies for at least so long, or once; returns FLOPs a second."""
    return self._flops * benchmark.steps_per_second(self._once, seconds)
