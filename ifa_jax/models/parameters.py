"""A model's parameters: started, described, counted."""

import functools
import math
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from ifa_jax.batch import Batch
from ifa_jax.models.base import System
from ifa_jax.models.layers import scan
from ifa_jax.models.registry import build

_LAYER = re.compile(r"layer_\d+")


def blank_batch(config: System, rows: int = 1, text_len: int = 8) -> Batch:
  """Returns a batch of zeros with every field that the model may read."""
  zeros = lambda *shape: jnp.zeros((rows, *shape), jnp.int32)  # noqa: E731
  fields = {}
  for name, count, size in config.picture_slots:
    slots = () if name == "image" else (count,)
    fields[name] = jnp.zeros((rows, *slots, size, size, 3), jnp.uint8)
    fields[f"{name}_mask"] = jnp.ones((rows, *slots), bool)
  if config.reads_words:
    fields["words"] = zeros(text_len)
    fields["word_mask"] = jnp.ones((rows, text_len), bool)
    fields |= {"head_word": zeros(), "tail_word": zeros()}
  if config.regions is not None:
    fields |= _blank_regions(config, rows, text_len)
  return Batch(
    input_ids=zeros(text_len),
    attention_mask=jnp.ones((rows, text_len), bool),
    token_type_ids=zeros(text_len),
    head_start=zeros(),
    tail_start=zeros(),
    label=zeros(),
    valid=jnp.ones(rows, bool),
    **fields,
  )


def _blank_regions(
  config: System, rows: int, text_len: int
) -> dict[str, jax.Array]:
  num, dim = config.regions.num_regions, config.regions.feature_dim
  fields = {
    "regions": jnp.zeros((rows, num, dim)),
    "region_boxes": jnp.zeros((rows, num, 5)),
    "region_mask": jnp.ones((rows, num), bool),
  }
  if config.reads_alignment:
    fields["alignment"] = jnp.zeros((rows, text_len, num))
  return fields


def init_key(seed: int) -> jax.Array:
  """Returns the PRNG key that a run draws its first parameters with.

  Args:
    seed: of the run, whose root key is folded with 0 here and with 1 for
      dropout (`training.steps.dropout_key`), so that no two share a stream.
  """
  return jax.random.fold_in(jax.random.key(seed), 0)


def init_params(config: System, rng: jax.Array) -> dict[str, Any]:
  """Returns freshly started parameters, float32, as nested dicts."""
  model, batch = build(config), blank_batch(config)
  return scan.draw_together(lambda: model.init(rng, batch)["params"])


def abstract_params(config: System) -> dict[str, Any]:
  """Returns shapes and dtypes in the parameters' structure."""
  # A fresh dict for each caller; tracing a model takes half a second.
  return jax.tree.map(lambda leaf: leaf, _trace_params(config))


@functools.lru_cache(maxsize=8)
def _trace_params(config: System) -> dict[str, Any]:
  return jax.eval_shape(lambda: init_params(config, jax.random.key(0)))


def store_kernels(params: Any, dtype: str) -> Any:
  """Returns parameters as predictions read them fastest; changes no number.

  Args:
    params: float32, nested dicts.
    dtype: of the model. XLA's CPU products of few rows wait for the matrix: in
      float32 up to a third shorter for one that is stored transposed. In
      bfloat16 layers round their matrices, here once and for all.
  """
  if dtype == "float32":
    return _map_kernels(lambda _, kernel: kernel.T, params)

  def shorten(path, kernel):
    # Heads compute in float32.
    in_layer = any(_LAYER.fullmatch(part.key) for part in path)
    return kernel.astype(dtype) if in_layer else kernel

  return _map_kernels(shorten, params)


def read_kernels(stored: Any, dtype: str) -> Any:
  """Returns parameters as a model takes them, of what `store_kernels` gave."""
  if dtype == "float32":
    return _map_kernels(lambda _, kernel: kernel.T, stored)
  return stored


def _map_kernels(
  function: Callable[[Any, jax.Array], jax.Array], params: Any
) -> Any:
  """Maps the matrix of every linear layer, with its path."""

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
