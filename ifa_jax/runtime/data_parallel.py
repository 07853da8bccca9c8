"""Data parallelism, alone: the same pure step over all devices in two forms.

`pmap` maps the step over the devices of every process, each with its own
dropout keys, and the step sums over the axis "data". `jit` lets the compiler
split the batch over a one-axis mesh; dropout then does not depend on the number
of devices. JAX keeps pmap in maintenance mode, see
docs.jax.dev/en/latest/migrate_pmap.html.

In both forms the state lies whole on every device, and is the same to a
checkpoint. Devices are in the order of their processes, so that a process has a
block of each batch, and each row the same device however many processes there
are.
"""

# JAX declares no types of devices and of what it compiles.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

import abc
import collections
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXIS = "data"


Change = Callable[[Any], Any]
Step = Callable[[Any, Any], Any]


def _same(tree: Any) -> Any:
  return tree


# One function for each change, so that it is compiled once.
@functools.cache
def _copying(change: Change) -> Change:
  return lambda tree: jax.tree.map(jnp.copy, change(tree))


class Parallel(abc.ABC):
  """Copies the state to all devices and splits batches over them.

  Attributes:
    axis: name of the axis that a step must sum over, or None.
  """

  axis: str | None = None

  def __init__(self):
    """Builds the mesh over the devices of all processes."""
    devices = sorted(jax.devices(), key=lambda device: device.process_index)
    # Linen cannot trace under the Explicit axes of make_mesh's default.
    self._mesh = Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))
    self._copied = NamedSharding(self._mesh, PartitionSpec())
    self._split = NamedSharding(self._mesh, PartitionSpec(AXIS))

  def check(self, batch_size: int, name: str) -> None:
    """Raises ValueError for a global batch that the devices cannot split."""
    if batch_size % jax.device_count():
      raise ValueError(
        f"{name}: want a multiple of the {jax.device_count()} devices, found"
        f" {batch_size}"
      )

  def own_columns(self, order: np.ndarray) -> np.ndarray:
    """Returns this process's columns of [steps, B]: each reads its own rows."""
    return np.split(order, jax.process_count(), axis=1)[jax.process_index()]

  def all_columns(self, own: np.ndarray) -> np.ndarray:
    """Gathers [steps, B / processes, ...] of all processes, [steps * B, ...].

    The inverse of `own_columns`, batch by batch.
    """
    if jax.process_count() > 1:
      gathered = multihost_utils.process_allgather(own)
      own = np.concatenate(list(gathered), axis=1)
    return own.reshape(-1, *own.shape[2:])

  @abc.abstractmethod
  def compile_train(self, step: Step) -> Step:
    """Compiles (state, batch) -> (state, metrics); gives up the old state."""

  @abc.abstractmethod
  def compile_rows(self, function: Step) -> Step:
    """Compiles (params, batch) -> an array with one line for each row."""

  @property
  def local_mesh(self) -> Mesh:
    """This process's devices, in the order of its rows, on the axis "data"."""
    return self._mesh.local_mesh

  def copy(self, tree: Any) -> Any:
    """Copies a tree of arrays, the same on all processes, to each device.

    Host arrays must not be changed any more. Nobody waits for arrays that one
    process still computes.
    """
    # device_put would compare the arrays of all processes first.
    if jax.process_count() == 1:
      return jax.device_put(tree, self._copied)
    put = lambda x: jax.make_array_from_callback(  # noqa: E731
      np.shape(x), self._copied, lambda _: np.asarray(x)
    )
    return jax.tree.map(put, tree)

  def fetch(self, tree: Any) -> Any:
    """Returns one copy of a tree that lies on every device, as numpy arrays."""
    # A copy: a view would change when the next step reuses the memory.
    first = lambda x: np.array(x.addressable_shards[0].data)  # noqa: E731
    return jax.tree.map(first, tree)

  def snapshot(self, tree: Any, change: Change = _same) -> Any:
    """Returns a copy of a tree that lies on every device, spread over them.

    It is computed on the devices, in turn: nobody waits for it, and what comes
    after may take the tree's memory. Each device has an equal part of what can
    be cut into as many. `change` makes the tree that is copied of it.
    """
    tree = jax.tree.map(self._globally, tree)
    copy = _copying(change)
    spread = jax.tree.map(self._spread, jax.eval_shape(copy, tree))
    return jax.jit(copy, out_shardings=spread)(tree)

  def _globally(self, x: jax.Array) -> jax.Array:
    """Returns an array of this process's devices as one of all devices."""
    parts = [shard.data for shard in x.addressable_shards]
    return jax.make_array_from_single_device_arrays(
      x.shape, self._copied, parts
    )

  def _spread(self, x: jax.ShapeDtypeStruct) -> NamedSharding:
    """Returns how an array is cut along its first axis that can be."""
    for axis, size in enumerate(x.shape):
      if size and size % self._mesh.size == 0:
        spec = PartitionSpec(*[None] * axis, AXIS)
        return NamedSharding(self._mesh, spec)
    return self._copied

  def ahead(self, batches: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Yields (batch, split batch), the next one sent on its way by then."""
    waiting: collections.deque[tuple[Any, Any]] = collections.deque()
    for batch in batches:
      waiting.append((batch, self.split(batch)))
      if len(waiting) > 1:
        yield waiting.popleft()
    yield from waiting

  @abc.abstractmethod
  def split(self, batch: Any) -> Any:
    """Sends this process's rows, arrays [B, ...], to their devices.

    Does not wait for them; numpy arrays must not be changed any more. What is a
    `jax.Array` already lies as the step wants it.
    """

  @abc.abstractmethod
  def fold(self, rows: np.ndarray) -> np.ndarray:
    """Shapes this process's rows [B, ...] so that axis 0 can be split."""

  @abc.abstractmethod
  def join(self, rows: jax.Array) -> jax.Array:
    """Lays folded rows out as `split` does, from over `local_mesh`."""

  @abc.abstractmethod
  def rows(self, result: jax.Array) -> np.ndarray:
    """Returns this process's rows of what a `compile_rows` function gave."""


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

  def split(self, batch: Any) -> Any:
    """See `Parallel`."""
    over = NamedSharding(self.local_mesh, PartitionSpec(AXIS))
    put = lambda x: jax.device_put(self.fold(x), over)  # noqa: E731
    return jax.tree.map(
      lambda x: x if isinstance(x, jax.Array) else put(x), batch
    )

  def fold(self, rows: np.ndarray) -> np.ndarray:
    """See `Parallel`."""
    return rows.reshape(jax.local_device_count(), -1, *rows.shape[1:])

  def join(self, rows: jax.Array) -> jax.Array:
    """See `Parallel`."""
    return rows

  def rows(self, result: jax.Array) -> np.ndarray:
    """See `Parallel`."""
    return np.asarray(result).reshape(-1, *result.shape[2:])


class OneMesh(Parallel):
  """`jax.jit` over a mesh of all devices with the one axis "data"."""

  def compile_train(self, step: Step) -> Step:
    """See `Parallel`."""
    return jax.jit(
      step,
      donate_argnums=0,
      in_shardings=(self._copied, self._split),
      out_shardings=(self._copied, self._copied),
    )

  def compile_rows(self, function: Step) -> Step:
    """See `Parallel`."""
    return jax.jit(
      function,
      in_shardings=(self._copied, self._split),
      out_shardings=self._split,
    )

  def split(self, batch: Any) -> Any:
    """See `Parallel`."""
    place = jax.make_array_from_process_local_data
    return jax.tree.map(
      lambda x: x if isinstance(x, jax.Array) else place(self._split, x), batch
    )

  def fold(self, rows: np.ndarray) -> np.ndarray:
    """See `Parallel`."""
    return rows

  def join(self, rows: jax.Array) -> jax.Array:
    """See `Parallel`."""
    shape = (rows.shape[0] * jax.process_count(), *rows.shape[1:])
    parts = [shard.data for shard in rows.addressable_shards]
    return jax.make_array_from_single_device_arrays(shape, self._split, parts)

  def rows(self, result: jax.Array) -> np.ndarray:
    """See `Parallel`."""
    shards = sorted(
      result.addressable_shards, key=lambda s: s.index[0].start or 0
    )
    return np.concatenate([np.asarray(shard.data) for shard in shards])


FORMS: dict[str, type[Parallel]] = {"pmap": Pmap, "jit": OneMesh}


def make_parallel(form: str) -> Parallel:
  """Returns the form of data parallelism that `train.parallel` names.

  Raises:
    ValueError: for any other name.
  """
  if form not in FORMS:
    raise ValueError(
      f"train.parallel: want one of {', '.join(FORMS)}, found {form!r}"
    )
  return FORMS[form]()
