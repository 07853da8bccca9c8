"""Where a batch's numbers first stop being finite, by computing it again.

With each layer's outcome looked at, in the order of computation; gradients in
that of backpropagation.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import traverse_util

from ifa_jax.batch import Batch
from ifa_jax.models.layers.layer_layout import APART
from ifa_jax.training.steps import TrainStep, dropout_key


class Finding(NamedTuple):
  """What went first.

  Attributes:
    what: in words, e.g. "the output of text/layer_0/attention/query".
    path: of the parameter or of the layer; "" for none or the whole model.
    rows: of the batch, those whose own loss is not finite.
  """

  what: str
  path: str
  rows: list[int]


def diagnose(
  train_step: TrainStep, params: Any, batch: Batch, number: int
) -> Finding | None:
  """Returns what of a batch's loss or gradient is not finite first.

  On one device, and with layers apart: dropout is that of (seed, step) there,
  other elements than where layers are scanned or devices are many.

  Args:
    train_step: the update.
    params: as it was given them, on the host.
    batch: numpy rows.
    number: of updates before it.

  Returns:
    None if all of it is finite this time.
  """
  apart = APART.convert(params)
  rng = dropout_key(train_step.seed, number)
  looks = Looks(train_step.model)
  losses, finite = jax.jit(looks.run)(apart, batch, rng)
  bad = batch.valid & ~np.isfinite(np.asarray(losses))
  rows = [int(row) for row in np.flatnonzero(bad)]
  found = _bad_parameter(apart) or _bad_field(batch) or looks.first(finite)
  if found is None and rows:
    found = Finding("the loss", "", rows)
  if found is None:
    grads, _ = jax.jit(train_step.sum_slices)(params, batch, rng)
    found = _bad_gradient(APART.convert(grads), looks.paths)
  return found and found._replace(rows=rows)


class Looks:
  """A model that is run with a look at what goes into and out of each layer.

  Attributes:
    paths: of the layers looked at, in order; "" is the whole model.
    names: what was looked at of each.
  """

  def __init__(self, model: nn.Module):
    """Wraps a model, none of whose layers may run in a scan or the like."""
    self._model = model
    self.paths: list[str] = []
    self.names: list[str] = []

  def run(
    self, params: Any, batch: Batch, rng: jax.Array
  ) -> tuple[jax.Array, list[jax.Array]]:
    """Returns the rows' losses, float32[B], and whether each look was finite.

    Args:
      params: of the model, layers apart.
      batch: rows with labels.
      rng: key of dropout.
    """
    finite: list[jax.Array] = []

    def see(path, name, value):
      self.paths.append(path)
      self.names.append(f"the {name} of {path or 'the model'}")
      finite.append(_is_finite(value))

    def look(call, args, kwargs, context):
      path = "/".join(context.module.path)
      see(path, "input", (args, kwargs))
      result = call(*args, **kwargs)
      see(path, "output", result)
      return result

    with nn.intercept_methods(look):
      output: Any = self._model.apply(
        {"params": params}, batch, train=True, rngs={"dropout": rng}
      )
    losses = optax.softmax_cross_entropy_with_integer_labels(
      output.logits, batch.label
    )
    return losses, finite

  def first(self, finite: list[jax.Array]) -> Finding | None:
    """Returns the first look that was not finite."""
    for path, name, good in zip(self.paths, self.names, finite, strict=True):
      if not good:
        return Finding(name, path, [])
    return None


def _bad_parameter(params: Any) -> Finding | None:
  for path, value in traverse_util.flatten_dict(params, sep="/").items():
    if not _is_finite(value):
      return Finding(f"the parameter {path}", path, [])
  return None


def _bad_field(batch: Batch) -> Finding | None:
  for name, value in vars(batch).items():
    if not _is_finite(value):
      return Finding(f"the batch's {name}", "", [])
  return None


def _bad_gradient(grads: Any, paths: list[str]) -> Finding | None:
  """Returns the first bad gradient in the order of backpropagation."""
  ran = {path: place for place, path in enumerate(paths)}
  bad = [
    path
    for path, value in traverse_util.flatten_dict(grads, sep="/").items()
    if not _is_finite(value)
  ]
  if not bad:
    return None
  last = max(bad, key=lambda path: ran.get(path.rpartition("/")[0], -1))
  return Finding(f"the gradient of {last}", last, [])


def _is_finite(tree: Any) -> jax.Array:
  """Returns whether all floating-point arrays in a tree are, bool[]."""
  finite = jnp.ones((), bool)
  for x in jax.tree.leaves(tree):
    array = isinstance(x, jax.Array | np.ndarray)
    if array and jnp.issubdtype(x.dtype, jnp.floating):
      finite &= jnp.isfinite(x).all()
  return finite
