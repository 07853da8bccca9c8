"""One training step: a pure function, with summed metrics."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from ifa_jax.batch import Batch
from ifa_jax.models.layers import scan
from ifa_jax.workdir.state import TrainState


def dropout_key(seed: int, step: jax.Array | int) -> jax.Array:
  """Returns the PRNG key of the update number `step`, from 0."""
  # 0 is the key of initial parameters, see `models.parameters.init_key`.
  root = jax.random.fold_in(jax.random.key(seed), 1)
  return jax.random.fold_in(root, step)


def start_state(params: Any, tx: optax.GradientTransformation) -> TrainState:
  """Returns the state before the first update."""
  return TrainState(jnp.zeros((), jnp.int32), params, tx.init(params))


@dataclasses.dataclass(frozen=True)
class TrainStep:
  """One update, a function of (state, batch): dropout depends on (seed, step).

  An update whose loss or gradient is not finite is not made: parameters and
  moments stay as they were, on every device, and the step counts.
  """

  model: nn.Module  # Maps a `Batch` to logits.
  tx: optax.GradientTransformation
  seed: int  # Of dropout.
  # Number of slices that a batch is computed in, to save memory; their
  # gradients are summed. Must divide a device's rows.
  num_slices: int = 1
  # Name of the mapped axis to sum over (pmap), or None if the compiler sees the
  # whole batch (jit).
  axis: str | None = None

  def __call__(
    self, state: TrainState, batch: Batch
  ) -> tuple[TrainState, dict[str, jax.Array]]:
    """Returns the next state and metrics.

    Metrics are sums over valid rows with their own count, never means: `loss`
    float32[], `correct`, `count`, and `grad_norm`, the norm of the whole
    batch's mean gradient before clipping, frozen parameters included; `finite`
    bool[] is whether the update was made.
    """
    rng = dropout_key(self.seed, state.step)
    if self.axis:
      # Dropout is never shared between devices.
      rng = jax.random.fold_in(rng, jax.lax.axis_index(self.axis))
    total = self._sum_over_devices
    weight = 1.0 / total(jnp.sum(batch.valid))
    grads, sums = total(self.sum_slices(state.params, batch, rng, weight))
    updates, opt_state = self.tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # The norm is not finite if any gradient is not.
    norm = optax.tree.norm(grads)
    finite = jnp.isfinite(sums["loss"]) & jnp.isfinite(norm)
    sums |= {"grad_norm": norm, "finite": finite}
    made = TrainState(state.step + 1, params, opt_state)
    return _made_if(finite, made, state), sums

  def _sum_over_devices(self, tree: Any) -> Any:
    # On a single device, psum would copy all gradients.
    if self.axis and jax.lax.axis_size(self.axis) > 1:
      return jax.lax.psum(tree, self.axis)
    return tree

  def sum_slices(
    self,
    params: Any,
    batch: Batch,
    rng: jax.Array,
    weight: jax.Array | float = 1.0,
  ) -> tuple[Any, dict[str, jax.Array]]:
    """Returns gradients and metrics of one device's rows.

    Args:
      params: of the model.
      batch: the rows.
      rng: of dropout.
      weight: float32[], scales the loss for its gradient. Scaling the gradients
        afterwards would read and write all of them once more.
    """
    add_up = functools.partial(self._sum_rows, weight=weight)
    if self.num_slices == 1:
      return add_up(params, batch, rng)
    # Every num_slices-th row, so that under jit each device keeps its rows.
    slices = jax.tree.map(
      lambda x: x.reshape(-1, self.num_slices, *x.shape[1:]).swapaxes(0, 1),
      batch,
    )

    def add(total, numbered):
      number, rows = numbered
      part = add_up(params, rows, jax.random.fold_in(rng, number))
      return jax.tree.map(jnp.add, total, part), None

    first = jax.tree.map(lambda x: x[0], slices)
    shapes = jax.eval_shape(add_up, params, first, rng)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return jax.lax.scan(add, zeros, (jnp.arange(self.num_slices), slices))[0]

  def _sum_rows(self, params, batch, rng, weight):
    def loss_fn(params):
      output: Any = self.model.apply(
        {"params": scan.gather(params)},
        batch,
        train=True,
        rngs={"dropout": rng},
      )
      loss, sums = row_sums(output.logits, batch)
      return weight * loss, sums

    return jax.grad(loss_fn, has_aux=True)(params)


def _made_if(
  finite: jax.Array, made: TrainState, before: TrainState
) -> TrainState:
  """Returns the state after an update, or the one before if it is not finite.

  Both count the step and advance the schedule, which `optax.apply_if_finite`
  would not; it also accepts updates in the end, and sees no loss.
  """
  counts = lambda x: isinstance(x, optax.ScaleByScheduleState)  # noqa: E731
  choose = lambda new, old: (  # noqa: E731
    new if counts(new) else jnp.where(finite, new, old)
  )
  kept = jax.tree.map(choose, made, before, is_leaf=counts)
  return kept.replace(step=made.step)


def row_sums(
  logits: jax.Array, batch: Batch
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """Returns the summed cross-entropy of the valid rows, and all metric sums."""
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.label)
  correct = jnp.argmax(logits, axis=-1) == batch.label
  loss = jnp.sum(losses, where=batch.valid)
  return loss, {
    "loss": loss,
    "correct": jnp.sum(correct, where=batch.valid),
    "count": jnp.sum(batch.valid),
  }
