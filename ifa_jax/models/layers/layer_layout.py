"""The two layouts of a stream's layers, and the conversion between them.

Files, the patterns of `optim.groups` and messages name each of a stream's n
layers:

    {"layer_0": ..., "layer_{n-1}": ...}

Training stacks all layers but the last, so that `layers.scan` traces and
compiles them once:

    {"layers": {"mlp_in": {"kernel": [n-1, D, F], ...}}, "layer_{n-1}": ...}

The last layer stays separate because most of its outputs are never read.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

STACKED_KEY = "layers"
_LAYER = "layer_"


@dataclasses.dataclass(frozen=True)
class LayerLayout:
  """The layout of a tree: parameters, gradients, or a training state.

  Attributes:
    stacked: whether each stream's layers but the last are stacked. A model
      without streams, or with one layer, is the same in both layouts.
  """

  stacked: bool

  @classmethod
  def choose(cls, labels: Any) -> "LayerLayout":
    """Returns the stacked layout if equal layers have equal labels.

    Args:
      labels: a hashable value for each parameter, equal where parameters are
        trained alike, in the structure with separate layers.
    """
    # Stacked layers share one label of the optimizer, so layers that are
    # trained differently, such as frozen ones, cannot be stacked.
    equal = []
    _stack(labels, lambda leaves: equal.append(len({*leaves}) == 1))
    return cls(all(equal))

  def convert(self, tree: Any) -> Any:
    """Returns a tree of either layout in this one.

    JAX arrays stay on their devices. Numpy arrays are copied when stacked, and
    become views when unstacked.
    """
    if _is_stacked(tree) == self.stacked:
      return tree
    if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tree)):
      return (_stack_on_device if self.stacked else _unstack_on_device)(tree)
    return _stack(tree, np.stack) if self.stacked else _unstack(tree)

  def convert_labels(self, labels: Any) -> Any:
    """Returns labels of separate layers in this layout; see `choose`."""
    first = operator.itemgetter(0)
    return _stack(labels, first) if self.stacked else labels


# The layout of files, settings and messages.
APART = LayerLayout(stacked=False)


def _stack(tree: Any, stack: Callable[[tuple[Any, ...]], Any]) -> Any:
  """Stacks every stream's layers; `stack` maps n-1 equal leaves to one."""

  def stack_stream(part):
    if not _is_stream(part):
      return part
    count = sum(name.startswith(_LAYER) for name in part)
    equal = [f"{_LAYER}{i}" for i in range(count - 1)]
    rest = {name: x for name, x in part.items() if name not in equal}
    layers = (part[name] for name in equal)
    return {**rest, STACKED_KEY: jax.tree.map(lambda *x: stack(x), *layers)}

  return jax.tree.map(stack_stream, tree, is_leaf=_is_stream)


def _unstack(tree: Any) -> Any:
  """Undoes `_stack`."""

  def unstack_stream(part):
    if not _is_stacked_stream(part):
      return part
    rest = {name: x for name, x in part.items() if name != STACKED_KEY}
    # The only separate layer; its number is the number of stacked ones.
    last = next(name for name in part if name.startswith(_LAYER))
    layers = {
      f"{_LAYER}{i}": jax.tree.map(operator.itemgetter(i), part[STACKED_KEY])
      for i in range(int(last.removeprefix(_LAYER)))
    }
    return {**layers, **rest}

  return jax.tree.map(unstack_stream, tree, is_leaf=_is_stacked_stream)


# One compiled program instead of one per array, which would take minutes over a
# slow connection to a device and seconds elsewhere.
_stack_on_device = jax.jit(functools.partial(_stack, stack=jnp.stack))
_unstack_on_device = jax.jit(_unstack)


def _is_stacked(tree: Any) -> bool:
  leaves = jax.tree.leaves(tree, is_leaf=_is_stacked_stream)
  return any(map(_is_stacked_stream, leaves))


def _is_stream(part: Any) -> bool:
  return isinstance(part, dict) and {f"{_LAYER}0", f"{_LAYER}1"} <= part.keys()


def _is_stacked_stream(part: Any) -> bool:
  return isinstance(part, dict) and STACKED_KEY in part
