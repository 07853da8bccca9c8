"""Initialises, describes and counts a model's parameters."""

import functools
import math
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from ifa_jax.batch import Batch, Geometry
from ifa_jax.models.base import System
from ifa_jax.models.layers import scan
from ifa_jax.models.registry import build

_LAYER = re.compile(r"layer_\d+")


def blank_batch(config: System, rows: int = 1, text_len: int = 8) -> Batch:
  """Returns a batch of zeros with every field that the model may read."""
  ids, text = jnp.zeros(rows, jnp.int32), jnp.zeros((rows, text_len), jnp.int32)
  real = jnp.ones((rows, text_len), bool)
  fields = {}
  geometry = Geometry(text_len, slots=config.picture_slots)
  for name, (shape, dtype) in geometry.picture_fields.items():
    fields[name] = jnp.zeros((rows, *shape), dtype)
  for name, (shape, dtype) in geometry.mask_fields.items():
    fields[name] = jnp.ones((rows, *shape), dtype)
  if config.reads_words:
    fields |= {"words": text, "word_mask": real}
    fields |= {"head_word": ids, "tail_word": ids}
  if config.reads_caption == "stream":
    fields |= {"caption_ids": text, "caption_mask": real}
  if config.regions is not None:
    num, dim = config.regions.num_regions, config.regions.feature_dim
    fields["regions"] = jnp.zeros((rows, num, dim))
    fields["region_boxes"] = jnp.zeros((rows, num, 5))
    fields["region_mask"] = jnp.ones((rows, num), bool)
    if config.reads_alignment:
      fields["alignment"] = jnp.zeros((rows, text_len, num))
  return Batch(
    input_ids=text,
    attention_mask=real,
    token_type_ids=text,
    head_start=ids,
    tail_start=ids,
    label=ids,
    valid=jnp.ones(rows, bool),
    **fields,
  )


def init_key(seed: int) -> jax.Array:
  """Returns the PRNG key of a run's initial parameters."""
  # Dropout folds the same root key with 1 (`training.steps.dropout_key`), so
  # that the two do not share random numbers.
  return jax.random.fold_in(jax.random.key(seed), 0)


def init_params(config: System, rng: jax.Array) -> dict[str, Any]:
  """Returns randomly initialised parameters, float32, as nested dicts."""
  model, batch = build(config), blank_batch(config)
  return scan.draw_together(lambda: model.init(rng, batch)["params"])


def abstract_params(config: System) -> dict[str, Any]:
  """Returns shapes and dtypes in the parameters' structure."""
  # Tracing a model takes half a second, so it is cached. The copy lets callers
  # change their dict.
  return jax.tree.map(lambda leaf: leaf, _trace_params(config))


@functools.lru_cache(maxsize=8)
def _trace_params(config: System) -> dict[str, Any]:
  return jax.eval_shape(lambda: init_params(config, jax.random.key(0)))


def store_kernels(params: Any, dtype: str) -> Any:
  """Returns parameters in the form that predictions read fastest.

  Args:
    params: float32, nested dicts.
    dtype: of the model. Predictions do not depend on the form.
  """
  if dtype == "float32":
    # XLA's CPU products of few rows are bound by reading the kernel, which
    # takes up to a third less time if it is stored transposed.
    return _map_kernels(lambda _, kernel: kernel.T, params)

  def round_kernel(path, kernel):
    # Layers would round their kernels in every call; heads compute in float32.
    in_layer = any(_LAYER.fullmatch(part.key) for part in path)
    return kernel.astype(dtype) if in_layer else kernel

  return _map_kernels(round_kernel, params)


def read_kernels(stored: Any, dtype: str) -> Any:
  """Returns the result of `store_kernels` in the form that a model takes."""
  if dtype == "float32":
    return _map_kernels(lambda _, kernel: kernel.T, stored)
  return stored


def _map_kernels(
  function: Callable[[Any, jax.Array], jax.Array], params: Any
) -> Any:
  """Maps (path, kernel) of every linear layer."""

  def map_leaf(path, leaf):
    is_matrix = path[-1].key == "kernel" and leaf.ndim == 2
    return function(path, leaf) if is_matrix else leaf

  return jax.tree_util.tree_map_with_path(map_leaf, params)


def param_shapes(config: System) -> dict[str, tuple[int, ...]]:
  """Returns path -> shape of every parameter, without computing any."""
  flat: dict[str, Any] = traverse_util.flatten_dict(
    abstract_params(config), sep="/"
  )
  return {path: leaf.shape for path, leaf in flat.items()}


def count_params(config: System) -> int:
  """Returns the number of parameters, without computing any."""
  return sum(math.prod(shape) for shape in param_shapes(config).values())
