"""`metrics.jsonl` and TensorBoard files, in step with a run's checkpoint."""

import dataclasses
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

# Metrics by name; an array of devices need not be computed yet.
Sums = Mapping[str, jax.Array | float]


class MetricsLog:
  """Appends metrics, one JSON object a line. Use as a context manager.

  Of a run's processes, which all have the same metrics, the first writes them.
  """

  def __init__(self, folder: RunFolder, step: int):
    """Opens the log; lines of later steps than `step` will come again."""
    self._path = folder.file(NAME)
    folder.write_lines(NAME, _lines_until(self._path, step))
    first = collectives.is_first()
    path = self._path if first else os.devnull
    self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115
    self._tensorboard = tensorboardX.SummaryWriter(
      folder.path, purge_step=step + 1, write_to_disk=first
    )

  def __enter__(self) -> "MetricsLog":
    """Returns itself."""
    return self

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
    self._file.flush()
    for name, value in values.items():
      self._tensorboard.add_scalar(name, value, step)


@dataclasses.dataclass
class Window:
  """Metrics of some steps in a row, still on the device.

  Attributes:
    step: the last one.
    epoch: counted from 0.
    rows: of all steps, without filler.
    sums: each step's metrics.
    begun: when the last step was begun, in seconds.
  """

  step: int
  epoch: int
  rows: int
  sums: Sequence[Sums]
  begun: float


class BadStep(NamedTuple):
  """A step whose update was not made, since its numbers were not finite.

  Attributes:
    step: its number, from 1.
    epoch: counted from 0.
    loss: mean over the batch.
    grad_norm: of its mean gradient.
  """

  step: int
  epoch: int
  loss: float
  grad_norm: float


def read_metric(metric: jax.Array | float) -> float:
  """Returns a metric as the first device has it, waiting for its step."""
  if not isinstance(metric, jax.Array):
    return metric
  return float(np.asarray(metric.addressable_shards[0].data).ravel()[0])


def _read(sums: Sums) -> dict[str, float]:
  return {name: read_metric(metric) for name, metric in sums.items()}


class Meter:
  """Sums the metrics of each window of steps and writes them, a window late.

  Reading a metric waits for its step. A window is read when the next one is
  under way, so that the device never waits for the host. Means are of the steps
  whose update was made.

  Attributes:
    bad_steps: those of the windows written so far, for the caller to clear.
  """

  def __init__(
    self,
    log: MetricsLog,
    bar: tqdm,
    window: Iterable[dict[str, float]] = (),
  ):
    """Starts with a window that has the metrics of some steps, if any."""
    self._log, self._bar = log, bar
    self.bad_steps: list[BadStep] = []
    self._open: list[Sums] = [*window]
    self._rows = 0
    self._ended: Window | None = None
    self._time = time.monotonic()

  def add(self, sums: Sums, rows: int) -> None:
    """Adds a step's metrics: arrays that need not be computed yet."""
    self._open.append(sums)
    self._rows += rows

  def end_window(self, step: int, epoch: int) -> None:
    """Ends the window at a step, if anything was added to it."""
    if not self._open:
      return
    now = time.monotonic()
    self.flush()
    self._ended = Window(step, epoch, self._rows, self._open, now)
    self._open, self._rows = [], 0

  def open_window(self) -> list[dict[str, float]]:
    """Returns metrics of the steps whose window has not ended, and waits."""
    return [_read(step) for step in self._open]

  def flush(self) -> None:
    """Writes the window that ended last, waiting for its steps."""
    window, self._ended = self._ended, None
    if window is None:
      return
    # JAX does not declare the method.
    loss: Any = window.sums[-1]["loss"]
    ready = isinstance(loss, float) or loss.is_ready()
    sums = [_read(step) for step in window.sums]
    # A device that waits for batches ends a step soon after it was begun, one
    # that was busy with the window before about now.
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
    self, window: Window, sums: list[dict[str, float]]
  ) -> dict[str, float]:
    """Returns the means of a window's good steps, and notes the bad ones."""
    start = window.step - len(sums)
    bad = [
      BadStep(step, window.epoch, x["loss"] / x["count"], x["grad_norm"])
      for step, x in enumerate(sums, start=start + 1)
      if not x["finite"]
    ]
    self.bad_steps += bad
    sums = [x for x in sums if x["finite"]]
    values: dict[str, float] = {"skipped": len(bad)} if bad else {}
    if not sums:
      return values
    total = {key: sum(step[key] for step in sums) for key in sums[0]}
    return values | {
      "loss": total["loss"] / total["count"],
      "accuracy": total["correct"] / total["count"],
      "grad_norm": total["grad_norm"] / len(sums),
    }


def _lines_until(path: str, step: int) -> list[dict[str, Any]]:
  """Returns the lines up to a step; a line that was cut off ends them."""
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
