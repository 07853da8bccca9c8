"""Checkpoints of a run: the newest, to resume, and the best on dev, to report.

Orbax writes each into a temporary folder and renames it, so one that is listed
is whole. All processes of a run write their part of it, and any number of them
reads it again.
"""

import logging
import os
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from ifa_jax import processes
from ifa_jax.step import TrainState

Scores = dict[str, float]

# Orbax warns of every checkpoint without scores, as those within an epoch are.
logging.getLogger("absl").addFilter(
  lambda record: "tracked_metric" not in record.getMessage()
)


def _rank(scores: Scores) -> tuple[float, float]:
  """Orders checkpoints by dev F1; of equal ones the earlier is the better."""
  return scores["f1"], -scores["step"]


class Checkpoints:
  """The checkpoints below a folder, by step. Use as a context manager."""

  def __init__(self, folder: str | os.PathLike):
    """Opens the folder, which need not exist yet."""
    # max_to_keep with best_fn alone would delete the newest.
    keep = policies.AnyPreservationPolicy(
      [
        policies.LatestN(1),
        policies.BestN(
          get_metric_fn=_rank, n=1, keep_checkpoints_without_metrics=False
        ),
      ]
    )
    folder = os.path.abspath(folder)
    processes.together(lambda: os.makedirs(folder, exist_ok=True))
    # With the processes named, Orbax lets them wait for each other by messages:
    # its other way, a sum over all devices, would wait for the steps too.
    wait = ocp.options.MultiprocessingOptions(
      active_processes=set(range(processes.count()))
    )
    self._manager = ocp.CheckpointManager(
      folder,
      options=ocp.CheckpointManagerOptions(
        preservation_policy=keep,
        best_fn=_rank,
        create=False,
        multiprocessing_options=wait,
      ),
    )
    self._check_seen()

  def __enter__(self) -> "Checkpoints":
    """Returns itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Waits for what is being written, and closes."""
    self.wait()
    self._manager.close()

  def _check_seen(self) -> None:
    """Checks that all processes would go on from the same checkpoint."""
    found = -1 if self.newest is None else self.newest
    wanted = processes.first_says(found)

    def check():
      if found != wanted:
        raise ValueError(
          f"{self._manager.directory}: want the checkpoints that process 0"
          f" sees, up to step {wanted}, found them up to step {found}"
        )

    processes.together(check)

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
      ValueError: if no checkpoint has dev scores yet.
    """
    if self.best is None:
      raise ValueError(
        f"{self._manager.directory}: want a checkpoint with dev scores, found"
        " none; the first is written after an epoch"
      )
    return self.best

  def dev_scores(self, step: int) -> Scores | None:
    """Returns the dev scores that a checkpoint was saved with, if any."""
    return self._manager.metrics(step)

  def save(self, state: TrainState, dev_scores: Scores | None = None) -> None:
    """Saves a state in the background, once it has come from the devices.

    Args:
      state: as `Parallel.snapshot` gives it, or numpy arrays.
      dev_scores: at least `f1`, where this step was evaluated.
    """
    step = int(state.step)
    if dev_scores is not None:
      dev_scores = {**dev_scores, "step": step}
    self._manager.save(
      step, args=ocp.args.PyTreeSave(state), metrics=dev_scores
    )

  def restore(self, step: int, like: TrainState) -> TrainState:
    """Returns a checkpoint as numpy arrays in the structure of `like`."""
    return self._restore(step, like)

  def restore_params(self, step: int, like: Any) -> Any:
    """Returns a checkpoint's parameters alone, numpy arrays like `like`."""
    return self._restore(step, {"params": like}, partial=True)["params"]

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
