"""`metrics.jsonl` and TensorBoard files, in step with a run's checkpoint."""

import dataclasses
import json
import os
import time
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from ifa_jax import lean_imports, processes
from ifa_jax.run_folder import RunFolder

with lean_imports.without("torch"):
  import tensorboardX

NAME = "metrics.jsonl"


class MetricsLog:
  """Appends metrics, one JSON object a line. Use as a context manager.

  Of a run's processes, which all have the same metrics, the first writes them.
  """

  def __init__(self, folder: RunFolder, step: int):
    """Opens the log; lines of later steps than `step` will come again."""
    self._path = folder.file(NAME)
    folder.write_lines(NAME, _lines_until(self._path, step))
    first = processes.is_first()
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
  sums: list[dict[str, jax.Array]]
  begun: float


class Meter:
  """Sums the metrics of each window of steps and writes them, a window late.

  Reading a metric waits for its step. A window is read when the next one is
  under way, so that the device never waits for the host.
  """

  def __init__(self, log: MetricsLog, bar: tqdm):
    """Starts with an empty window."""
    self._log, self._bar = log, bar
    self._open: list[dict[str, jax.Array]] = []
    self._rows = 0
    self._ended: Window | None = None
    self._time = time.monotonic()

  def add(self, sums: dict[str, jax.Array], rows: int) -> None:
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

  def flush(self) -> None:
    """Writes the window that ended last, waiting for its steps."""
    window, self._ended = self._ended, None
    if window is None:
      return
    ready = window.sums[-1]["loss"].is_ready()
    first = lambda x: float(np.asarray(x.addressable_shards[0].data).ravel()[0])  # noqa: E731
    sums = [{k: first(v) for k, v in step.items()} for step in window.sums]
    total = {key: sum(step[key] for step in sums) for key in sums[0]}
    # A device that waits for batches ends a step soon after it was begun, one
    # that was busy with the window before about now.
    waiting = ready and window.begun > self._time
    now = window.begun if waiting else time.monotonic()
    values = {
      "loss": total["loss"] / total["count"],
      "accuracy": total["correct"] / total["count"],
      "grad_norm": total["grad_norm"] / len(sums),
      "examples_per_second": window.rows / (now - self._time),
    }
    self._time = now
    self._log.write(window.step, window.epoch + 1, **values)
    self._bar.update(window.rows)
    self._bar.set_postfix(
      epoch=window.epoch + 1, loss=f"{values['loss']:.3f}", refresh=False
    )


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
