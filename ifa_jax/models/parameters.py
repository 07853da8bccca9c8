"""A model's parameters: started, described, counted."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from ifa_jax.batch import Batch
from ifa_jax.models.config import ModelConfig
from ifa_jax.models.ifaformer import IFAformer


def blank_batch(config: ModelConfig, rows: int = 1, text_len: int = 8) -> Batch:
  """Returns a batch of zeros with every field that the model may read."""
  zeros = lambda *shape: jnp.zeros((rows, *shape), jnp.int32)  # noqa: E731
  visual = {}
  if config.vision is not None:
    slots = (config.vision.num_crops,)
    for name, count, size in (
      ("image", (), config.vision.image_size),
      ("grounded", slots, config.vision.grounded_size),
      ("detected", slots, config.vision.detected_size),
    ):
      visual[name] = jnp.zeros((rows, *count, size, size, 3), jnp.uint8)
      visual[f"{name}_mask"] = jnp.ones((rows, *count), bool)
  return Batch(
    input_ids=zeros(text_len),
    attention_mask=jnp.ones((rows, text_len), bool),
    token_type_ids=zeros(text_len),
    head_start=zeros(),
    tail_start=zeros(),
    label=zeros(),
    valid=jnp.ones(rows, bool),
    **visual,
  )


def init_params(config: ModelConfig, rng: jax.Array) -> dict[str, Any]:
  """Returns freshly started parameters, float32, as nested dicts."""
  return IFAformer(config).init(rng, blank_batch(config))["params"]


def abstract_params(config: ModelConfig) -> dict[str, Any]:
  """Returns shapes and dtypes in the parameters' structure."""
  return jax.eval_shape(lambda: init_params(config, jax.random.key(0)))


def param_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
  """Returns path -> shape of every parameter, without computing any."""
  flat = traverse_util.flatten_dict(abstract_params(config), sep="/")
  return {path: leaf.shape for path, leaf in flat.items()}


def count_params(config: ModelConfig) -> int:
  """Returns the number of parameters, without computing any."""
  return sum(math.prod(shape) for shape in param_shapes(config).values())
