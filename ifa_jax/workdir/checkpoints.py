"""Checkpoints of a run: the newest, to resume, and the best on dev, to report.

Orbax writes each into a temporary folder and renames it, so one that is listed
was whole, and checksums of its files tell whether it still is. The one before
the newest is kept for the case that it is not. All processes of a run write
their part of it, and any number of them reads it again.
"""

import asyncio
import concurrent.futures
import logging
import os
import shutil
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from ifa_jax.files import checksums, orbax_tree
from ifa_jax.runtime import collectives

if TYPE_CHECKING:
  from ifa_jax.workdir.state import TrainState

Scores = dict[str, float]
# Metrics of the steps of a window that is not at its end.
Window = list[dict[str, float]]

# Orbax's name for what it has not renamed yet; see `recovery`.
_UNFINISHED = ".orbax-checkpoint-tmp"
_DELETED = ".deleted"

# Orbax warns of every checkpoint without scores, as those within an epoch are.
logging.getLogger("absl").addFilter(
  lambda record: "tracked_metric" not in record.getMessage()
)


def _rank(scores: Scores) -> tuple[float, float]:
  """Orders checkpoints by dev F1; of equal ones the earlier is the better."""
  return scores["f1"], -scores["step"]


class _Summed(ocp.path.atomicity.AtomicRenameTemporaryPath):
  """A checkpoint on its way, which gets checksums before it gets its name."""

  async def finalize(self) -> None:
    """See Orbax; it renames the folder, and those of its parts before it."""
    if not self.get_final().parent.name.endswith(_UNFINISHED):
      store: Any = self._checkpoint_metadata_store
      await asyncio.to_thread(store.wait_until_finished)
      # It would add the time, behind the checksums.
      self._checkpoint_metadata_store = None
      await asyncio.to_thread(checksums.write, self.get())
    await super().finalize()


class Checkpoints:
  """The checkpoints below a folder, by step. Use as a context manager."""

  def __init__(self, folder: str | os.PathLike):
    """Opens the folder, which need not exist yet.

    Raises:
      ValueError: if a checkpoint's scores are damaged.
    """
    folder = os.path.abspath(folder)
    collectives.together(lambda: os.makedirs(folder, exist_ok=True))
    # With the processes named, Orbax lets them wait for each other by messages:
    # its other way, a sum over all devices, would wait for the steps too.
    wait = ocp.options.MultiprocessingOptions(
      active_processes=set(range(collectives.count()))
    )
    options = ocp.CheckpointManagerOptions(
      best_fn=_rank,  # pyright: ignore[reportArgumentType]
      create=False,
      multiprocessing_options=wait,
      temporary_path_class=_Summed,
    )
    self._manager = _opened(folder, options)
    self._deleting = concurrent.futures.ThreadPoolExecutor(1)
    self._check_seen()

  def __enter__(self) -> "Checkpoints":
    """Returns itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Waits for what is being written, and closes."""
    self.wait()
    self._manager.close()
    self._deleting.shutdown()

  def _check_seen(self) -> None:
    """Checks that all processes would go on from the same checkpoint."""
    found = -1 if self.newest is None else self.newest
    wanted = collectives.first_says(found)

    def check():
      if found != wanted:
        raise ValueError(
          f"{self._manager.directory}: want the checkpoints that process 0"
          f" sees, up to step {wanted}, found them up to step {found}"
        )

    collectives.together(check)

  def wait(self) -> None:
    """Waits for what is being written."""
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
    collectives.together(self._check_scores)
    if self.best is None:
      raise ValueError(
        f"{self._manager.directory}: want a checkpoint with dev scores, found"
        " none; the first is written after an epoch"
      )
    return self.best

  def dev_scores(self, step: int) -> Scores | None:
    """Returns the dev scores that a checkpoint was saved with, if any."""
    return self._manager.metrics(step)

  def window(self, step: int) -> Window:
    """Returns the window that a checkpoint was saved with, or an empty one."""
    saved = self._manager.metadata(step).custom_metadata or {}
    return saved.get("window", [])

  def save(
    self,
    state: "TrainState",
    dev_scores: Scores | None = None,
    window: Window | None = None,
  ) -> None:
    """Saves a state in the background, once it has come from the devices.

    While it is written, the newest and the best so far are kept.

    Args:
      state: as `Parallel.snapshot` gives it, or numpy arrays.
      dev_scores: at least `f1`, where this step was evaluated.
      window: of metrics, where this step is within one.
    """
    self._delete_old()
    step = int(state.step)
    if dev_scores is not None:
      dev_scores = {**dev_scores, "step": step}
    self._manager.save(
      step,
      args=ocp.args.PyTreeSave(state),
      metrics=dev_scores,
      custom_metadata={"window": window} if window else None,
    )

  def _delete_old(self) -> None:
    """Deletes all but the newest and the best, each at once or not at all."""
    self.wait()
    if not collectives.is_first():
      return
    for step in {*self._manager.all_steps()} - {self.newest, self.best}:
      path = self._path(step)
      # The manager still lists what was deleted before.
      if os.path.isdir(path):
        os.replace(path, path + _DELETED)
        self._deleting.submit(shutil.rmtree, path + _DELETED)

  def _path(self, step: int) -> str:
    return os.path.join(self._manager.directory, str(step))

  def restore(self, step: int, like: "TrainState") -> "TrainState":
    """Returns a checkpoint as numpy arrays in the structure of `like`.

    For a run that goes on: `recovery.clear` has checked the newest one.
    """
    return self._restore(step, like)

  def restore_params(self, step: int) -> dict[str, Any]:
    """Returns a checkpoint's parameters alone, nested dicts of numpy arrays.

    Raises:
      ValueError: if it is damaged; names the file.
    """
    self.wait()
    collectives.together(lambda: self._check(step))
    folder = os.path.join(self._path(step), "default")
    like = {"params": orbax_tree.read(folder, "params")}
    return self._restore(step, like, partial=True)["params"]

  def _restore(self, step: int, like: Any, partial: bool = False) -> Any:
    as_numpy = lambda _: ocp.RestoreArgs(restore_type=np.ndarray)  # noqa: E731
    return self._manager.restore(
      step,
      args=ocp.args.PyTreeRestore(
        item=like,
        restore_args=jax.tree.map(as_numpy, like),
        partial_restore=partial,
      ),
    )

  def _check_scores(self) -> None:
    for step in self._manager.all_steps():
      # A run that still trains may be deleting it.
      if os.path.isdir(self._path(step)):
        self._check(step, "metrics/")

  def _check(self, step: int, below: str = "") -> None:
    if not collectives.is_first():
      return
    found = checksums.damage(self._path(step), below)
    if found:
      raise ValueError(
        f"checkpoint {step} is damaged: {found}; train anew, or move its folder"
        " away to go on with the others"
      )


def _opened(folder: str, options: Any) -> ocp.CheckpointManager:
  """Returns Orbax's manager, which reads the scores of all checkpoints."""
  try:
    return ocp.CheckpointManager(folder, options=options)
  except (ValueError, KeyError, TypeError, OSError) as error:
    reason = " ".join(str(error).split())[:200]
    raise ValueError(f"{folder}: scores cannot be read ({reason})") from None
