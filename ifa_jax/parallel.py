"""Data parallelism, alone: the same pure step over all devices in two forms.

`pmap` maps the step over the devices of every process, each with its own
dropout keys, and the step sums over the axis "data". `jit` lets the compiler
split the batch over a one-axis mesh; dropout then does not depend on the number
of devices. JAX keeps pmap in maintenance mode, see
docs.jax.dev/en/latest/migrate_pmap.html.
"""

import abc
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXIS = "data"


class Parallel(abc.ABC):
  """Copies the state to all devices and splits batches over them.

  Attributes:
    axis: name of the axis that a step must sum over, or None.
  """

  axis: str | None = None

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
  def compile_train(self, step: Callable) -> Callable:
    """Compiles (state, batch) -> (state, metrics); gives up the old state."""

  @abc.abstractmethod
  def compile_rows(self, function: Callable) -> Callable:
    """Compiles (params, batch) -> an array with one line for each row."""

  @abc.abstractmethod
  def copy(self, tree: Any) -> Any:
    """Copies a tree of host arrays to every device."""

  @abc.abstractmethod
  def split(self, batch: Any) -> Any:
    """Splits this process's rows, numpy arrays [B, ...], over its devices."""

  @abc.abstractmethod
  def fetch(self, tree: Any) -> Any:
    """Returns one copy of a tree that lies on every device, as numpy arrays."""

  @abc.abstractmethod
  def rows(self, result: jax.Array) -> np.ndarray:
    """Returns this process's rows of what a `compile_rows` function gave."""


class Pmap(Parallel):
  """`jax.pmap`: every array has the local devices as its first axis."""

  axis = AXIS

  def compile_train(self, step: Callable) -> Callable:
    """See `Parallel`."""
    return jax.pmap(step, axis_name=AXIS, donate_argnums=0)

  def compile_rows(self, function: Callable) -> Callable:
    """See `Parallel`."""
    return jax.pmap(function, axis_name=AXIS)

  def copy(self, tree: Any) -> Any:
    """See `Parallel`."""
    devices = np.asarray(jax.local_devices())
    over = NamedSharding(Mesh(devices, (AXIS,)), PartitionSpec(AXIS))
    repeat = lambda x: np.broadcast_to(x, (len(devices), *np.shape(x)))  # noqa: E731
    return jax.tree.map(lambda x: jax.device_put(repeat(x), over), tree)

  def split(self, batch: Any) -> Any:
    """See `Parallel`."""
    count = jax.local_device_count()
    return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), batch)

  def fetch(self, tree: Any) -> Any:
    """See `Parallel`."""
    # A copy: a view would change when the next step reuses the memory.
    first = lambda x: np.array(x.addressable_shards[0].data[0])  # noqa: E731
    return jax.tree.map(first, tree)

  def rows(self, result: jax.Array) -> np.ndarray:
    """See `Parallel`."""
    return np.asarray(result).reshape(-1, *result.shape[2:])


class OneMesh(Parallel):
  """`jax.jit` over a mesh of all devices with the one axis "data"."""

  def __init__(self):
    """Builds the mesh over the devices of all processes."""
    # Linen cannot trace under the Explicit axes of make_mesh's default.
    mesh = jax.make_mesh((jax.device_count(),), (AXIS,), (AxisType.Auto,))
    self._copied = NamedSharding(mesh, PartitionSpec())
    self._split = NamedSharding(mesh, PartitionSpec(AXIS))

  def compile_train(self, step: Callable) -> Callable:
    """See `Parallel`."""
    return jax.jit(
      step,
      donate_argnums=0,
      in_shardings=(self._copied, self._split),
      out_shardings=(self._copied, self._copied),
    )

  def compile_rows(self, function: Callable) -> Callable:
    """See `Parallel`."""
    return jax.jit(
      function,
      in_shardings=(self._copied, self._split),
      out_shardings=self._split,
    )

  def copy(self, tree: Any) -> Any:
    """See `Parallel`."""
    return jax.tree.map(lambda x: jax.device_put(x, self._copied), tree)

  def split(self, batch: Any) -> Any:
    """See `Parallel`."""
    place = jax.make_array_from_process_local_data
    return jax.tree.map(lambda x: place(self._split, x), batch)

  def fetch(self, tree: Any) -> Any:
    """See `Parallel`."""
    # A copy: a view would change when the next step reuses the memory.
    first = lambda x: np.array(x.addressable_shards[0].data)  # noqa: E731
    return jax.tree.map(first, tree)

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
