"""Data parallelism: the same pure step over all devices, in two forms.

With `jit` the compiler splits the batch, and dropout does not depend on the
number of devices. With `pmap` each device has its own dropout keys, and the
step sums over the axis "data"; JAX keeps it in maintenance mode, see
docs.jax.dev/en/latest/migrate_pmap.html. Every device has the whole state;
`runtime.forms` has one more form, which splits it.
"""

# JAX declares no types of devices and of compiled functions.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

import collections
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ifa_jax.runtime import split_state
from ifa_jax.runtime.split_state import AXIS

Change = Callable[[Any], Any]
Step = Callable[[Any, Any], Any]


# Cached, since jax.jit compiles once for each function object.
@functools.cache
def _copying(change: Change) -> Change:
  return lambda tree: jax.tree.map(jnp.copy, change(tree))


class Parallel:
  """`jax.jit` over a mesh of all devices with the one axis "data"."""

  # Name of the axis that a step must sum over.
  axis: str | None = None

  def __init__(self):
    """Builds the mesh over the devices of all processes."""
    # By process, so that each process has a block of the batch, and a row is on
    # the same device for any number of processes.
    devices = sorted(jax.devices(), key=lambda device: device.process_index)
    # Linen cannot trace under the Explicit axes of make_mesh's default.
    self._mesh = Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))
    self._copied = NamedSharding(self._mesh, PartitionSpec())
    self._split = NamedSharding(self._mesh, PartitionSpec(AXIS))

  @property
  def local_mesh(self) -> Mesh:
    """This process's devices, in the order of its rows."""
    return self._mesh.local_mesh

  def check(self, batch_size: int, name: str) -> None:
    """Raises ValueError for a global batch that the devices cannot split."""
    if batch_size % jax.device_count():
      raise ValueError(
        f"{name}: expected a multiple of the {jax.device_count()} devices, got"
        f" {batch_size}"
      )

  # Compiled functions.

  def compile_train(self, step: Step) -> Step:
    """Compiles (state, batch) -> (state, metrics); donates the old state."""
    return jax.jit(
      step,
      donate_argnums=0,
      in_shardings=(self._copied, self._split),
      out_shardings=(self._copied, self._copied),
    )

  def compile_rows(self, function: Step) -> Step:
    """Compiles (params, batch) -> an array with one line for each row."""
    return jax.jit(
      function,
      in_shardings=(self._copied, self._split),
      out_shardings=self._split,
    )

  # Rows.

  def own_columns(self, order: np.ndarray) -> np.ndarray:
    """Returns this process's columns of [steps, B]: each reads its own rows."""
    return np.split(order, jax.process_count(), axis=1)[jax.process_index()]

  def all_columns(self, own: np.ndarray) -> np.ndarray:
    """Gathers [steps, B / processes, ...] of processes: [steps * B, ...]."""
    if jax.process_count() > 1:
      gathered = multihost_utils.process_allgather(own)
      own = np.concatenate(list(gathered), axis=1)
    return own.reshape(-1, *own.shape[2:])

  def split(self, batch: Any) -> Any:
    """Sends this process's rows, arrays [B, ...], to their devices.

    Does not wait for them; numpy arrays must not be changed afterwards. A
    `jax.Array` already has the layout of the step and is kept.
    """
    return jax.tree.map(
      lambda x: x if isinstance(x, jax.Array) else self._send(x), batch
    )

  def _send(self, rows: np.ndarray) -> jax.Array:
    return jax.make_array_from_process_local_data(self._split, rows)

  def fold(self, rows: np.ndarray) -> np.ndarray:
    """Shapes this process's rows [B, ...] so that axis 0 can be split."""
    return rows

  def join(self, rows: jax.Array) -> jax.Array:
    """Turns folded rows over `local_mesh` into the layout of `split`."""
    shape = (rows.shape[0] * jax.process_count(), *rows.shape[1:])
    parts = [shard.data for shard in rows.addressable_shards]
    return jax.make_array_from_single_device_arrays(shape, self._split, parts)

  def rows(self, result: jax.Array) -> np.ndarray:
    """Returns this process's rows of a result of `compile_rows`."""
    shards = sorted(
      result.addressable_shards, key=lambda s: s.index[0].start or 0
    )
    return np.concatenate([np.asarray(shard.data) for shard in shards])

  def ahead(self, batches: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Yields (batch, split batch), after sending the next one."""
    waiting: collections.deque[tuple[Any, Any]] = collections.deque()
    for batch in batches:
      waiting.append((batch, self.split(batch)))
      if len(waiting) > 1:
        yield waiting.popleft()
    yield from waiting

  # The state.

  def copy(self, tree: Any) -> Any:
    """Copies a tree of arrays, the same on all processes, to each device.

    Or its part of each, if the form splits the state. Host arrays must not be
    changed afterwards. Does not wait for arrays that one process is still
    computing.
    """
    layout = self.layout(tree)
    # device_put would compare the arrays of all processes first.
    if jax.process_count() == 1:
      return jax.device_put(tree, layout)
    put = lambda x, sharding: jax.make_array_from_callback(  # noqa: E731
      np.shape(x), sharding, lambda part: np.asarray(x)[part]
    )
    return jax.tree.map(put, tree, layout)

  def create(self, function: Callable[..., Any], *trees: Any) -> Any:
    """Returns a function's result as `copy` does, computed on devices."""
    return self.copy(jax.jit(function)(*trees))

  def fetch(self, tree: Any) -> Any:
    """Returns a tree of a step or of `copy` as numpy arrays."""
    # A copy: a view would change when the next step reuses the memory.
    first = lambda x: np.array(x.addressable_shards[0].data)  # noqa: E731
    return jax.tree.map(first, tree)

  def snapshot(self, tree: Any, change: Change = lambda tree: tree) -> Any:
    """Returns a changed copy of a tree on the devices, split over them.

    The devices compute it in turn: nothing waits, and later steps may reuse the
    tree's memory. Each device keeps its part by `split_state.spec`.
    """
    copy = _copying(change)
    spread = jax.tree.map(self._spread, jax.eval_shape(copy, tree))
    return jax.jit(copy, out_shardings=spread)(tree)

  def layout(self, tree: Any) -> Any:
    """Returns how each array of a training state is laid out."""
    return jax.tree.map(lambda _: self._copied, tree)

  def _spread(self, x: Any) -> NamedSharding:
    spec = split_state.spec(np.shape(x), self._mesh.size)
    return NamedSharding(self._mesh, spec)


class Pmap(Parallel):
  """`jax.pmap`: batches have the local devices as their first axis."""

  axis = AXIS

  def compile_train(self, step: Step) -> Step:
    """See `Parallel`."""
    return jax.pmap(
      step,
      axis_name=AXIS,
      in_axes=(None, 0),
      out_axes=(None, None),
      donate_argnums=0,
    )

  def compile_rows(self, function: Step) -> Step:
    """See `Parallel`."""
    return jax.pmap(function, axis_name=AXIS, in_axes=(None, 0))

  def _send(self, rows: np.ndarray) -> jax.Array:
    over = NamedSharding(self.local_mesh, PartitionSpec(AXIS))
    return jax.device_put(self.fold(rows), over)

  def fold(self, rows: np.ndarray) -> np.ndarray:
    """See `Parallel`."""
    return rows.reshape(jax.local_device_count(), -1, *rows.shape[1:])

  def join(self, rows: jax.Array) -> jax.Array:
    """See `Parallel`."""
    return rows

  def rows(self, result: jax.Array) -> np.ndarray:
    """See `Parallel`."""
    return np.asarray(result).reshape(-1, *result.shape[2:])

  def snapshot(self, tree: Any, change: Change = lambda tree: tree) -> Any:
    """See `Parallel`."""

    def on_mesh(x: jax.Array) -> jax.Array:
      parts = [shard.data for shard in x.addressable_shards]
      return jax.make_array_from_single_device_arrays(
        x.shape, self._copied, parts
      )

    return super().snapshot(jax.tree.map(on_mesh, tree), change)
