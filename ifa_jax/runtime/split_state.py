"""Arrays of a training state, split over devices by their shapes alone.

Each device stores a part of every large array. A step makes the parameters of a
layer whole on all devices just before it reads them, and adds up its gradients
so that each device receives its part only (ZeRO-3, arXiv:1910.02054).
"""

# JAX declares no types of constraints.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import PartitionSpec

AXIS = "data"
# Matrices of fewer elements are copied: they would cost more messages than
# memory.
LEAST = 2**17


def spec(shape: Sequence[int], num_devices: int) -> PartitionSpec:
  """Returns how an array of a state is split; small ones are not.

  Along the larger of its last two axes that the devices divide, so that each
  layer of a stack is split like the stack.
  """
  axes = [
    axis
    for axis in range(len(shape))[-2:]
    if shape[axis] % num_devices == 0 and math.prod(shape[-2:]) >= LEAST
  ]
  if not axes:
    return PartitionSpec()
  axis = max(axes, key=lambda axis: (shape[axis], axis))
  return PartitionSpec(*[None] * axis, AXIS)


def gather(params: Any) -> Any:
  """Makes parameters whole on each device; their gradients are split.

  Traced in the context of a mesh, whose axis is `AXIS`.
  """
  size = jax.sharding.get_abstract_mesh().size
  return jax.tree.map(lambda x: _gather(spec(x.shape, size), x), params)


# The gradient that JAX derives would be whole on each device.
@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _gather(split: PartitionSpec, x: jax.Array) -> jax.Array:
  del split
  return jax.lax.with_sharding_constraint(x, PartitionSpec())


_gather.defvjp(
  lambda split, x: (_gather(split, x), None),
  lambda split, _, grad: (jax.lax.with_sharding_constraint(grad, split),),
)
