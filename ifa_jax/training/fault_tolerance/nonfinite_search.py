"""Finds the first array of a batch's computation that is not finite.

The batch is computed again, with a check of each layer's input and output, in
the order of computation; gradients are checked in that of backpropagation.
"""

from collections.abc import Iterator
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
  """The first array that is not finite."""

  what: str  # In words, e.g. "the output of text/layer_0/attention/query".
  path: str  # Of the parameter or of the layer; "" for none or the whole model.
  rows: list[int]  # Of the batch, those whose own loss is not finite.


def diagnose(
  train_step: TrainStep, params: Any, batch: Batch, number: int
) -> Finding | None:
  """Returns the first array of a batch's loss or gradient that is not finite.

  Computes on one device with layers apart. Dropout has the key of (seed, step),
  but other elements than with scanned layers or several devices. Returns None
  if all numbers are finite this time.

  Args:
    train_step: the update.
    params: its parameters, on the host.
    batch: numpy rows.
    number: of updates before it.
  """
  apart = APART.convert(params)
  rng = dropout_key(train_step.seed, number)
  # (layer's path, "input" or "output"), in the order of computation. Filled
  # while the function is traced, since jit returns arrays only.
  seen: list[tuple[str, str]] = []
  run = jax.jit(lambda *args: _run(train_step.model, seen, *args))
  losses, finite = run(apart, batch, rng)
  bad = batch.valid & ~np.isfinite(np.asarray(losses))
  rows = [int(row) for row in np.flatnonzero(bad)]
  for what, path, is_finite in _checks(apart, batch, seen, finite):
    if not is_finite:
      return Finding(what, path, rows)
  if rows:
    return Finding("the loss", "", rows)
  grads, _ = jax.jit(train_step.sum_slices)(params, batch, rng)
  return _first_gradient(APART.convert(grads), [path for path, _ in seen])


def _checks(
  params: Any,
  batch: Batch,
  seen: list[tuple[str, str]],
  finite: list[jax.Array],
) -> Iterator[tuple[str, str, jax.Array]]:
  """Yields (words, path, whether it is finite) in the order of computation."""
  for path, value in traverse_util.flatten_dict(params, sep="/").items():
    yield f"the parameter {path}", path, _is_finite(value)
  for name, value in vars(batch).items():
    yield f"the batch's {name}", "", _is_finite(value)
  for (path, name), is_finite in zip(seen, finite, strict=True):
    yield f"the {name} of {path or 'the model'}", path, is_finite


def _run(
  model: nn.Module,
  seen: list[tuple[str, str]],
  params: Any,
  batch: Batch,
  rng: jax.Array,
) -> tuple[jax.Array, list[jax.Array]]:
  """Returns the rows' losses, float32[B], and whether each of `seen` is finite.

  No layer may be inside a scan: its values cannot leave it.
  """
  finite: list[jax.Array] = []

  def look(call, args, kwargs, context):
    path = "/".join(context.module.path)
    seen.append((path, "input"))
    finite.append(_is_finite((args, kwargs)))
    result = call(*args, **kwargs)
    seen.append((path, "output"))
    finite.append(_is_finite(result))
    return result

  with nn.intercept_methods(look):
    output: Any = model.apply(
      {"params": params}, batch, train=True, rngs={"dropout": rng}
    )
  losses = optax.softmax_cross_entropy_with_integer_labels(
    output.logits, batch.label
  )
  return losses, finite


def _first_gradient(grads: Any, paths: list[str]) -> Finding | None:
  """Returns the first bad gradient in the order of backpropagation."""
  order = {path: place for place, path in enumerate(paths)}
  bad = [
    path
    for path, value in traverse_util.flatten_dict(grads, sep="/").items()
    if not _is_finite(value)
  ]
  if not bad:
    return None
  # Backpropagation begins with the layer that was computed last.
  last = max(bad, key=lambda path: order.get(path.rpartition("/")[0], -1))
  return Finding(f"the gradient of {last}", last, [])


def _is_finite(tree: Any) -> jax.Array:
  """Returns whether all floating-point arrays in a tree are, bool[]."""
  finite = jnp.ones((), bool)
  for x in jax.tree.leaves(tree):
    array = isinstance(x, jax.Array | np.ndarray)
    if array and jnp.issubdtype(x.dtype, jnp.floating):
      finite &= jnp.isfinite(x).all()
  return finite
