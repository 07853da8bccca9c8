"""Equal layers as one: arrays with a leading layer axis, for `jax.lax.scan`.

A stream of n layers is kept as {"layer_0": ..., "layer_{n-1}": ...}. While it
is trained, all layers but the last are stacked:

    {"layers": {"attention": {"query": {"kernel": [n-1, D, D], ...

so that twelve layers are traced, compiled and loaded as one. The last stands
apart, since much of it reaches no logit.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifa_jax.models.layers import matmul

STACKED = "layers"
_LAYER = "layer_"


def stack_layers(tree: Any, stack: Callable[[list], Any] = jnp.stack) -> Any:
  """Stacks the layers of every stream in a tree.

  Args:
    tree: parameters, or a tree that holds trees shaped as they are.
    stack: makes one leaf of those of layers 0 to n-2.
  """

  def stack_one(part):
    if not _has_layers(part):
      return part
    *alike, _ = (f"{_LAYER}{i}" for i in range(_count(part)))
    rest = {name: x for name, x in part.items() if name not in alike}
    layers = (part[name] for name in alike)
    return {**rest, STACKED: jax.tree.map(lambda *x: stack(x), *layers)}

  return jax.tree.map(stack_one, tree, is_leaf=_has_layers)


def unstack_layers(tree: Any) -> Any:
  """Undoes `stack_layers`; arrays are cut, or viewed where they are numpy's."""

  def unstack_one(part):
    if not _is_stacked(part):
      return part
    rest = {name: x for name, x in part.items() if name != STACKED}
    cut = lambda i: jax.tree.map(lambda x: x[i], part[STACKED])  # noqa: E731
    last = next(name for name in part if name.startswith(_LAYER))
    count = int(last.removeprefix(_LAYER))
    return {**{f"{_LAYER}{i}": cut(i) for i in range(count)}, **rest}

  return jax.tree.map(unstack_one, tree, is_leaf=_is_stacked)


def are_stacked(tree: Any) -> bool:
  """Tells whether any stream of a tree has its layers stacked."""
  return any(map(_is_stacked, jax.tree.leaves(tree, is_leaf=_is_stacked)))


def stacked_layers(stream: nn.Module) -> Any | None:
  """Returns a bound stream's stacked parameters, None if its layers are apart.

  Args:
    stream: whose layers have the names `layer_0` to `layer_{n-1}`.
  """
  if stream.is_initializing() or not stream.has_variable("params", STACKED):
    return None
  return stream.get_variable("params", STACKED)


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


def _has_layers(part: Any) -> bool:
  return isinstance(part, dict) and f"{_LAYER}1" in part


def _is_stacked(part: Any) -> bool:
  return isinstance(part, dict) and STACKED in part


def _count(part: dict[str, Any]) -> int:
  return sum(name.startswith(_LAYER) for name in part)
