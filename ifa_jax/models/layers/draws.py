"""Initial values of equal layers, drawn together.

A model draws each of its arrays with a key of its own. Drawn apart, hundreds of
small programs are to be loaded before the first number; drawn together, those
of the same array of every layer are one. The numbers are the same.
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
def blank() -> Iterator[list[_Draw]]:
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


def together(init: Callable[[], Any]) -> dict[str, Any]:
  """Returns what a function initialises, with equal layers drawn as one.

  Args:
    init: returns parameters as nested dicts; it uses none of their values.
  """
  with blank() as noted:
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
