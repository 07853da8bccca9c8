"""`metrics.jsonl` and TensorBoard files, consistent with checkpoints."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from ifa_jax.runtime import collectives, optional_imports
from ifa_jax.workdir.run_folder import RunFolder

with optional_imports.without("torch"):
  import tensorboardX

NAME = "metrics.jsonl"

# Metrics by name; arrays of devices need not be computed yet.
Sums = Mapping[str, jax.Array | float]


class MetricsLog(contextlib.AbstractContextManager):
  """Appends metrics, one JSON object a line. Use as a context manager.

  All processes have the same metrics; the first one writes them.
  """

  def __init__(self, folder: RunFolder, step: int):
    """Opens the log and drops lines after `step`, which will be repeated."""
    self._path = folder.file(NAME)
    folder.write_lines(NAME, _lines_until(self._path, step))
    first = collectives.is_first()
    path = self._path if first else os.devnull
    self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115
    self._tensorboard = tensorboardX.SummaryWriter(
      folder.path, purge_step=step + 1, write_to_disk=first
    )

  def __exit__(self, *_: object) -> None:
    """Closes the files."""
    self._file.close()
    self._tensorboard.close()

  def total(self, name: str) -> float:
    """Returns the sum of a value over all lines of the file that have it."""
    lines = _lines_until(self._path, sys.maxsize)
    return sum(line.get(name, 0) for line in lines)

  def write(self, step: int, epoch: int, **values: float) -> None:
    """Appends a line; `epoch` counts from 1."""
    line = {"step": step, "epoch": epoch, **values}
    self._file.write(json.dumps(line) + "\n")
    # A killed run keeps all lines that were written.
    self._file.flush()
    for name, value in values.items():
      self._tensorboard.add_scalar(name, value, step)


class BadStep(NamedTuple):
  """A step whose update was not made, since its numbers were not finite."""

  step: int  # Its number, from 1.
  epoch: int  # Counted from 0.
  loss: float  # Mean over the batch.
  grad_norm: float  # Of its mean gradient.


class _Window(NamedTuple):
  """Metrics of consecutive steps, maybe not computed yet."""

  step: int  # The last one.
  epoch: int  # Counted from 0.
  rows: int  # Of all steps, without filler.
  sums: Sequence[Sums]
  begun: float  # Start of the last step, in seconds.


def read_metric(metric: jax.Array | float) -> float:
  """Returns a metric from the first device; waits for its step."""
  if not isinstance(metric, jax.Array):
    return metric
  return float(np.asarray(metric.addressable_shards[0].data).ravel()[0])


class Meter:
  """Sums the metrics of each window of steps and writes them, a window late.

  Reading a metric waits for its step. A window is read after the next one has
  been sent to the device, which therefore never waits for the host. Means are
  of the steps whose update was made.

  Attributes:
    bad_steps: other steps of the windows written so far; the caller clears it.
  """

  def __init__(
    self, log: MetricsLog, bar: tqdm, window: Iterable[dict[str, float]] = ()
  ):
    """Starts with an open window that has the metrics of some steps."""
    self._log, self._bar = log, bar
    self.bad_steps: list[BadStep] = []
    self._open: list[Sums] = [*window]
    self._rows = 0
    self._ended: _Window | None = None
    self._time = time.monotonic()

  def add(self, sums: Sums, rows: int) -> None:
    """Adds a step's metrics: arrays that need not be computed yet."""
    self._open.append(sums)
    self._rows += rows

  def end_window(self, step: int, epoch: int) -> None:
    """Ends the window at a step, unless it is empty."""
    if not self._open:
      return
    now = time.monotonic()
    self.flush()
    self._ended = _Window(step, epoch, self._rows, self._open, now)
    self._open, self._rows = [], 0

  def open_window(self) -> list[dict[str, float]]:
    """Returns the metrics of the open window's steps; waits for them."""
    return [jax.tree.map(read_metric, step) for step in self._open]

  def flush(self) -> None:
    """Writes the window that ended last; waits for its steps."""
    window, self._ended = self._ended, None
    if window is None:
      return
    # JAX does not declare the method.
    loss: Any = window.sums[-1]["loss"]
    ready = isinstance(loss, float) or loss.is_ready()
    sums = [jax.tree.map(read_metric, step) for step in window.sums]
    # A device that waits for batches ends a step soon after its start; one that
    # was busy with the window before ends it about now.
    waiting = ready and window.begun > self._time
    now = window.begun if waiting else time.monotonic()
    values = self._means(window, sums)
    values["examples_per_second"] = window.rows / (now - self._time)
    self._time = now
    self._log.write(window.step, window.epoch + 1, **values)
    self._bar.update(window.rows)
    self._bar.set_postfix(
      epoch=window.epoch + 1,
      loss=f"{values.get('loss', np.nan):.3f}",
      refresh=False,
    )

  def _means(
    self, window: _Window, sums: list[dict[str, float]]
  ) -> dict[str, float]:
    """Returns the means of a window's good steps, and records the bad ones."""
    first = window.step - len(sums) + 1
    bad = [
      BadStep(step, window.epoch, x["loss"] / x["count"], x["grad_norm"])
      for step, x in enumerate(sums, start=first)
      if not x["finite"]
    ]
    self.bad_steps += bad
    values: dict[str, float] = {"skipped": len(bad)} if bad else {}
    good = [x for x in sums if x["finite"]]
    if not good:
      return values
    total = {key: sum(step[key] for step in good) for key in good[0]}
    return values | {
      "loss": total["loss"] / total["count"],
      "accuracy": total["correct"] / total["count"],
      "grad_norm": total["grad_norm"] / len(good),
    }


def _lines_until(path: str, step: int) -> list[dict[str, Any]]:
  """Returns the lines up to a step, without an incomplete last line."""
  lines = []
  if not os.path.exists(path):
    return lines
  with open(path, encoding="utf-8") as file:
    for text in file:
      try:
        line = json.loads(text)
      except json.JSONDecodeError:
        break
      if line["step"] <= step:
        lines.append(line)
  return lines
