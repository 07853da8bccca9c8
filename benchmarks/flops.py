"""Floating-point operations: needed by a model, and reached by a machine.

A product of [m, k] and [k, n] has 2 m k n. Axis letters: `ifa_jax.models`.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ifa_jax import benchmark
from ifa_jax.models.config import ModelConfig, TextConfig, VisionConfig


def of_prediction(
  model: ModelConfig, text_len: int, patches: int | None = None
) -> float:
  """Returns the FLOPs of the products of one example, forward.

  Of the last layers only the two entity markers reach the logits; the visual
  stream contributes only keys and values there.

  Args:
    model: IFAformer, with mutual attention if it has a visual stream.
    text_len: T, including padding.
    patches: of all pictures; None: as many as the model reads.
  """
  text, vision = model.text, model.vision
  total, keys = 0, text_len
  if vision is not None:
    patches = num_patches(model) if patches is None else patches
    keys += 1 + patches
    total += (vision.num_layers - 1) * _layer(vision, 1 + patches, keys)
    total += _patch_embedding(vision, patches)
  total += (text.num_layers - 1) * _layer(text, text_len, keys)
  # The last layer: keys and values of all tokens, the rest of two markers.
  total += _layer(text, 2, keys) + 4 * (keys - 2) * text.hidden_dim**2
  return float(total + 2 * 2 * text.hidden_dim * model.num_relations)


def of_update(model: ModelConfig, text_len: int) -> float:
  """Returns the FLOPs of the products of one example, forward and backward.

  A product has two in the backward pass, one for the gradient of each operand;
  pixels, which the model must read, need no gradient.
  """
  pixels = _patch_embedding(model.vision, num_patches(model))
  return 3 * of_prediction(model, text_len) - pixels


def num_patches(model: ModelConfig) -> int:
  """Returns the number of patches of all pictures that a model reads."""
  patch_size = model.vision.patch_size
  return sum(
    count * (size // patch_size) ** 2 for _, count, size in model.picture_slots
  )


def _patch_embedding(vision: VisionConfig, patches: int) -> int:
  return 2 * patches * 3 * vision.patch_size**2 * vision.hidden_dim


def _layer(stream: TextConfig | VisionConfig, queries: int, keys: int) -> int:
  """Returns the FLOPs of four projections, attention, and the MLP."""
  width = stream.hidden_dim
  projections = 4 * 2 * queries * width**2
  attention = 2 * 2 * queries * keys * width
  return projections + attention + 2 * 2 * queries * width * stream.mlp_dim


def make_product(
  dtype: str = "float32", side: int | None = None
) -> Callable[[float], float]:
  """Compiles a large matrix product, which measures the peak of the device.

  The square matrices have 2048 rows on a CPU, 8192 on an accelerator.

  Returns:
    A function that multiplies for at least some seconds, at least once, and
    returns FLOP/s.
  """
  side = side or (2048 if jax.default_backend() == "cpu" else 8192)
  rng = np.random.default_rng(0)
  left, right = (
    jnp.asarray(rng.normal(size=(side, side)), dtype) for _ in range(2)
  )
  # As the model multiplies; a CPU is slow at bfloat16 with other outputs.
  matmul = functools.partial(jnp.matmul, preferred_element_type=jnp.float32)
  multiply = jax.jit(matmul).lower(left, right).compile()
  once = functools.partial(multiply, left, right)
  jax.block_until_ready(once())
  return lambda seconds: 2 * side**3 * benchmark.steps_per_second(once, seconds)
