"""Runs equal layers with `jax.lax.scan`, and initialises them together.

`layers.layer_layout` stacks parameters for the scan. Initialising every array
separately compiles hundreds of small programs; here an array is drawn by one
program for all layers. The numbers are the same.
"""

import contextlib
import contextvars
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import traverse_util

from ifa_jax.models.layers import matmul
from ifa_jax.models.layers.layer_layout import STACKED_KEY
from ifa_jax.runtime import split_state


def stacked_layers(stream: nn.Module) -> Any | None:
  """Returns a bound stream's stacked parameters, None for separate layers."""
  if stream.is_initializing() or not stream.has_variable("params", STACKED_KEY):
    return None
  return stream.get_variable("params", STACKED_KEY)


def gather(params: Any) -> Any:
  """Makes parameters whole on each device, if a step has them split.

  Not those of stacked layers: `scan_layers` gathers one layer at a time.
  """
  # Only a step of the form fsdp is traced under such a mesh.
  if split_state.AXIS not in jax.sharding.get_abstract_mesh().auto_axes:
    return params
  stack = jax.tree_util.DictKey(STACKED_KEY)
  return jax.tree_util.tree_map_with_path(
    lambda path, x: x if stack in path else split_state.gather(x), params
  )


def scan_layers(
  run_layer: Callable[..., Any],
  carry: Any,
  stacked: Any,
  rng: jax.Array | None,
  remat: bool,
  inputs: tuple[Any, ...] = (),
) -> Any:
  """Runs stacked layers in order; returns the last one's output.

  Args:
    run_layer: (carry, parameters of one layer, its PRNG key, *its inputs) ->
      carry.
    carry: input of the first layer.
    stacked: parameters, each leaf [n-1, ...].
    rng: of dropout; None outside training.
    remat: whether the backward pass recomputes each layer from its input.
      Otherwise it keeps all products and recomputes only the rest.
    inputs: of the layers besides the carry, each leaf [n-1, ...].
  """
  # Separate layers draw from keys of their own, so scanned ones must as well.
  count = len(jax.tree.leaves(stacked)[0])
  rngs = None if rng is None else jax.random.split(rng, count)

  def body(carry, layer):
    params, rng, given = layer
    carry = jax.tree.map(matmul.keep, carry)
    return run_layer(carry, gather(params), rng, *given), None

  # Only training has a backward pass.
  if rng is not None:
    keep = jax.checkpoint_policies.save_only_these_names(matmul.KEPT)
    body = jax.checkpoint(body, policy=None if remat else keep)
  return jax.lax.scan(body, carry, (stacked, rngs, inputs))[0]


def bind_layer(
  layer: nn.Module, params: Any, rng: jax.Array | None
) -> nn.Module:
  """Binds a layer to its parameters, and to a PRNG key of dropout if given."""
  rngs = None if rng is None else {"dropout": rng}
  return layer.bind({"params": params}, rngs=rngs)


_LAYER = re.compile(r"layer_\d+")


class _Draw(NamedTuple):
  """An initializer's deferred call, and the zeros that it returned."""

  draw: Callable
  key: jax.Array
  shape: tuple[int, ...]
  dtype: Any
  blank: jax.Array


# The deferred draws of the current initialisation; None outside of one. Flax
# calls initializers, so the list cannot be passed to them as an argument.
_noted: contextvars.ContextVar[list[_Draw] | None] = contextvars.ContextVar(
  "noted", default=None
)


def normal(stddev: float) -> nn.initializers.Initializer:
  """Returns a normal initializer whose draws `blank_draws` can defer."""
  draw = nn.initializers.normal(stddev)

  def init(key, shape, dtype=jnp.float32):
    noted = _noted.get()
    if noted is None:
      return draw(key, shape, dtype)
    blank = jnp.zeros(shape, dtype)
    noted.append(_Draw(draw, key, tuple(shape), dtype, blank))
    return blank

  return init


@contextlib.contextmanager
def blank_draws() -> Iterator[list[_Draw]]:
  """Makes initializers of `normal` return zeros, and lists their draws.

  Also useful for a model whose parameters are given: Flax traces each
  initializer to compare shapes, and tracing the draws takes half as long as
  tracing the rest of a small model.
  """
  noted: list[_Draw] = []
  token = _noted.set(noted)
  try:
    yield noted
  finally:
    _noted.reset(token)


def draw_together(init: Callable[[], Any]) -> dict[str, Any]:
  """Returns a function's initial parameters, with equal layers drawn as one.

  Args:
    init: returns parameters as nested dicts; must not use their values.
  """
  with blank_draws() as noted:
    params = traverse_util.flatten_dict(init(), sep="/")
  # `init` returns the very arrays that initializers gave, so identity matches a
  # path with its draw.
  draws = {id(draw.blank): draw for draw in noted}
  alike = defaultdict(dict)
  for path, array in params.items():
    if id(array) in draws:
      draw = draws[id(array)]
      kind = _LAYER.sub("", path), draw.draw, draw.shape, draw.dtype
      alike[kind][path] = draw.key
  for (_, draw, shape, dtype), keys in alike.items():
    params |= _draw_all(draw, shape, dtype, keys)
  return traverse_util.unflatten_dict(params, sep="/")


def _draw_all(
  draw: Callable, shape: tuple[int, ...], dtype: Any, keys: dict[str, jax.Array]
) -> dict[str, jax.Array]:
  """Returns path -> array, each drawn with its own key."""
  one = lambda key: draw(key, shape, dtype)  # noqa: E731
  if len(keys) == 1:
    return {path: one(key) for path, key in keys.items()}
  # `map` is a loop, which holds the random bits of one layer at a time; `vmap`
  # would hold those of all.
  drawn = jax.lax.map(one, jnp.stack([*keys.values()]))
  return dict(zip(keys, drawn, strict=True))
