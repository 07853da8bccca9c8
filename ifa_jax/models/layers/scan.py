"""Equal layers as one: run by `jax.lax.scan`, initial values drawn together.

`layers.layer_layout` stacks parameters for the scan. Initialising every array
separately would compile hundreds of small programs; drawn together, the same
array of every layer is one. The numbers are the same.
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


def stacked_layers(stream: nn.Module) -> Any | None:
  """Returns a bound stream's stacked parameters, None if its layers are apart.

  Args:
    stream: whose layers have the names `layer_0` to `layer_{n-1}`.
  """
  if stream.is_initializing() or not stream.has_variable("params", STACKED_KEY):
    return None
  return stream.get_variable("params", STACKED_KEY)


def scan_layers(
  run_layer: Callable[[Any, Any, jax.Array | None], Any],
  carry: Any,
  stacked: Any,
  rng: jax.Array | None,
  remat: bool,
) -> Any:
  """Runs stacked layers one after another; returns what the last one gives.

  Args:
    run_layer: (carry, parameters of one layer, its PRNG key) -> carry.
    carry: what goes into the first.
    stacked: parameters, each leaf [n-1, ...].
    rng: of dropout; None where nothing is trained.
    remat: whether the backward pass computes each layer anew from its input.
      It otherwise keeps all products, and computes only what lies between.
  """
  count = len(jax.tree.leaves(stacked)[0])
  rngs = None if rng is None else jax.random.split(rng, count)

  def body(carry, layer):
    return run_layer(jax.tree.map(matmul.keep, carry), *layer), None

  if rng is not None:
    keep = jax.checkpoint_policies.save_only_these_names(matmul.KEPT)
    body = jax.checkpoint(body, policy=None if remat else keep)
  return jax.lax.scan(body, carry, (stacked, rngs))[0]


def bind_layer(
  layer: nn.Module, params: Any, rng: jax.Array | None
) -> nn.Module:
  """Returns an unbound layer with parameters, and a key of dropout if any."""
  rngs = None if rng is None else {"dropout": rng}
  return layer.bind({"params": params}, rngs=rngs)


_LAYER = re.compile(r"layer_\d+")


class _Draw(NamedTuple):
  """What an initializer was asked for, and the blank that it gave instead."""

  draw: Callable
  key: jax.Array
  shape: tuple[int, ...]
  dtype: Any
  blank: jax.Array


# Of the initialisation under way; None where each draws for itself.
_noted: contextvars.ContextVar[list[_Draw] | None] = contextvars.ContextVar(
  "noted", default=None
)


def normal(stddev: float) -> nn.initializers.Initializer:
  """Returns an initializer whose draws `together` can put off."""
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
  """Has initializers inside return zeros, and note what they were to draw.

  For a model whose parameters are given as well: Flax traces the initializer
  of each to compare its shape, and tracing a draw takes half as long as tracing
  all else that a small model does.
  """
  noted: list[_Draw] = []
  token = _noted.set(noted)
  try:
    yield noted
  finally:
    _noted.reset(token)


def draw_together(init: Callable[[], Any]) -> dict[str, Any]:
  """Returns what a function initialises, with equal layers drawn as one.

  Args:
    init: returns parameters as nested dicts; it uses none of their values.
  """
  with blank_draws() as noted:
    params = traverse_util.flatten_dict(init(), sep="/")
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
  # A loop in the program, which holds the random bits of one layer at a time.
  drawn = jax.lax.map(one, jnp.stack([*keys.values()]))
  return dict(zip(keys, drawn, strict=True))
