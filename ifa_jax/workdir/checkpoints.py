"""Checkpoints of a run: the newest, to resume, and the best on dev, to report.

Orbax writes each into a temporary folder and renames it when it is complete;
checksums show whether it still is. The checkpoint before the newest is kept in
case the newest is damaged. All processes of a run write their part of it, and
any number of processes can read it.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from ifa_jax.files import checksums, orbax_tree
from ifa_jax.files.shown import one_line
from ifa_jax.runtime import collectives

if TYPE_CHECKING:
  from ifa_jax.workdir.state import TrainState

Scores = dict[str, float]
# Metrics of the steps of a window that has not ended.
Window = list[dict[str, float]]

_UNFINISHED = ".orbax-checkpoint-tmp"
_DELETED, _DAMAGED = ".deleted", ".damaged"
_LEFTOVER = re.compile(r"\d+(\.orbax-checkpoint-tmp.*|\.deleted)")
_log = logging.getLogger("ifa_jax")

# Orbax warns about every checkpoint without scores, those within an epoch, and
# when the metadata of one is read without its arrays.
_EXPECTED = ("tracked_metric", '"default" was found in the checkpoint')
logging.getLogger("absl").addFilter(
  lambda record: not any(x in record.getMessage() for x in _EXPECTED)
)


def recover(folder: str | os.PathLike) -> None:
  """Cleans up the checkpoints of an interrupted run before it is resumed.

  Deletes checkpoints that are half written or half deleted, and renames damaged
  ones that are newer than the newest intact one. Only the process that
  writes to the folder may call this.

  Raises:
    ValueError: if there are checkpoints and all are damaged; nothing changes.
  """
  names = os.listdir(folder) if os.path.isdir(folder) else []
  steps = sorted((int(x) for x in names if x.isdigit()), reverse=True)
  damaged: dict[int, str] = {}
  for step in steps:
    found = checksums.damage(os.path.join(folder, str(step)))
    if found is None:
      break
    damaged[step] = found
  # Nothing is touched before it is certain that the run can be resumed.
  if damaged and len(damaged) == len(steps):
    raise ValueError(
      f"{folder}: expected an intact checkpoint to resume from, got only"
      f" damaged ones: {damaged[steps[0]]}; nothing was changed"
    )
  for name in filter(_LEFTOVER.fullmatch, names):
    shutil.rmtree(os.path.join(folder, name))
  for step, found in damaged.items():
    path = os.path.join(folder, str(step))
    shutil.rmtree(path + _DAMAGED, ignore_errors=True)
    os.rename(path, path + _DAMAGED)
    _log.warning(
      "WARNING: checkpoint %d is damaged (%s): kept as %s, resuming from the"
      " one before it",
      step,
      found,
      path + _DAMAGED,
    )


def _rank(scores: Scores) -> tuple[float, float]:
  """Orders checkpoints by dev F1; of equal ones the earlier is the better."""
  return scores["f1"], -scores["step"]


class _WithChecksums(ocp.path.atomicity.AtomicRenameTemporaryPath):
  """A temporary folder that gets checksums before it is renamed."""

  async def finalize(self) -> None:
    # Orbax also renames the folders of a checkpoint's parts: skip these.
    if not self.get_final().parent.name.endswith(_UNFINISHED):
      store: Any = self._checkpoint_metadata_store
      await asyncio.to_thread(store.wait_until_finished)
      # Otherwise Orbax adds a timestamp after the checksums were computed.
      self._checkpoint_metadata_store = None
      await asyncio.to_thread(checksums.write, self.get())
    await super().finalize()


class Checkpoints(contextlib.AbstractContextManager):
  """The checkpoints in a folder, by step. Use as a context manager."""

  def __init__(self, folder: str | os.PathLike):
    """Opens the folder, or creates it.

    Raises:
      ValueError: if a checkpoint's scores are damaged, or if processes see
        different checkpoints.
    """
    folder = os.path.abspath(folder)
    collectives.run_on_all(lambda: os.makedirs(folder, exist_ok=True))
    # If the processes are named, Orbax synchronises them by messages. Its
    # default, a sum over all devices, would wait for the training steps.
    wait = ocp.options.MultiprocessingOptions(
      active_processes=set(range(collectives.count()))
    )
    options = ocp.CheckpointManagerOptions(
      best_fn=_rank,  # pyright: ignore[reportArgumentType]
      create=False,
      multiprocessing_options=wait,
      temporary_path_class=_WithChecksums,
    )
    try:
      self._manager = ocp.CheckpointManager(folder, options=options)
    except (ValueError, KeyError, TypeError, OSError) as error:
      raise ValueError(
        f"{folder}: scores cannot be read ({one_line(error)})"
      ) from None
    self._deleting = concurrent.futures.ThreadPoolExecutor(1)
    self._check_seen()

  def __exit__(self, *_: object) -> None:
    """Waits for pending writes, and closes."""
    self.wait()
    self._manager.close()
    self._deleting.shutdown()

  def _check_seen(self) -> None:
    """Checks that all processes would resume from the same checkpoint."""
    found = -1 if self.newest is None else self.newest
    first = collectives.broadcast_from_first(found)

    def check():
      if found != first:
        raise ValueError(
          f"{self._manager.directory}: expected the checkpoints of process 0,"
          f" up to step {first}, got checkpoints up to step {found}"
        )

    collectives.run_on_all(check)

  def wait(self) -> None:
    """Waits for pending writes."""
    self._manager.wait_until_finished()

  @property
  def newest(self) -> int | None:
    """Step of the newest checkpoint, or None if there is none."""
    return self._manager.latest_step()

  @property
  def best(self) -> int | None:
    """Step of the checkpoint with the best dev F1, or None if none has one."""
    return self._manager.best_step()

  def best_scored(self) -> int:
    """Returns `best`.

    Raises:
      ValueError: if no checkpoint has dev scores yet, or those of one are
        damaged.
    """
    self.wait()
    collectives.run_on_first(self._check_scores)
    if self.best is None:
      raise ValueError(
        f"{self._manager.directory}: expected a checkpoint with dev scores, got"
        " none; the first is written after an epoch"
      )
    return self.best

  def window(self, step: int) -> Window:
    """Returns the open window of metrics that a checkpoint was saved with."""
    saved = self._manager.metadata(step).custom_metadata or {}
    return saved.get("window", [])

  def save(
    self,
    state: "TrainState",
    dev_scores: Scores | None = None,
    window: Window | None = None,
  ) -> None:
    """Saves a state in the background, after copying it from the devices.

    The newest and the best checkpoint so far are kept until it is written.

    Args:
      state: numpy arrays, or a result of `Parallel.snapshot`.
      dev_scores: at least `f1`, if this step was evaluated.
      window: metrics since the last window ended, if this step is within one.
    """
    self._delete_old()
    step = int(state.step)
    self._manager.save(
      step,
      args=ocp.args.PyTreeSave(state),
      metrics=None if dev_scores is None else {**dev_scores, "step": step},
      custom_metadata={"window": window} if window else None,
    )

  def _delete_old(self) -> None:
    """Deletes all but the newest and the best.

    A rename comes first, so that a kill leaves no half-deleted checkpoint.
    """
    self.wait()
    if not collectives.is_first():
      return
    for step in {*self._manager.all_steps()} - {self.newest, self.best}:
      path = self._path(step)
      # The manager still lists checkpoints that were deleted before.
      if os.path.isdir(path):
        os.replace(path, path + _DELETED)
        self._deleting.submit(shutil.rmtree, path + _DELETED)

  def restore(
    self, step: int, like: "TrainState", partial: bool = False
  ) -> Any:
    """Returns a checkpoint as numpy arrays in the structure of `like`.

    Checks no checksums: `recover` has checked the newest checkpoint. `partial`
    allows parts that are not in `like`.
    """
    as_numpy = lambda _: ocp.RestoreArgs(restore_type=np.ndarray)  # noqa: E731
    return self._manager.restore(
      step,
      args=ocp.args.PyTreeRestore(
        item=like,
        restore_args=jax.tree.map(as_numpy, like),
        partial_restore=partial,
      ),
    )

  def restore_params(self, step: int) -> dict[str, Any]:
    """Returns only a checkpoint's parameters, nested dicts of numpy arrays.

    Raises:
      ValueError: if it is damaged; names the file.
    """
    self.wait()
    collectives.run_on_first(lambda: self._check(step))
    folder = os.path.join(self._path(step), "default")
    like: Any = {"params": orbax_tree.read(folder, "params")}
    return self.restore(step, like, partial=True)["params"]

  def _path(self, step: int) -> str:
    return os.path.join(self._manager.directory, str(step))

  def _check_scores(self) -> None:
    for step in self._manager.all_steps():
      # A run that is still training may be deleting it.
      if os.path.isdir(self._path(step)):
        self._check(step, "metrics/")

  def _check(self, step: int, below: str = "") -> None:
    if found := checksums.damage(self._path(step), below):
      raise ValueError(
        f"checkpoint {step} is damaged: {found}; train again, or move its"
        " folder away to continue with the others"
      )
