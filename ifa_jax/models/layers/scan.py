"""Equal layers run as one, by `jax.lax.scan` over stacked parameters.

`layers.layer_layout` stacks them.
"""

from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn

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
