"""Describes steps that were not finite, and stops the run or continues.

`steps.TrainStep` does not make such an update. They are found here later, when
their metrics arrive; the parameters are still good.
"""

import json
import logging
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from flax import traverse_util

from ifa_jax.models.layers.layer_layout import APART
from ifa_jax.runtime import collectives
from ifa_jax.training import optimizer
from ifa_jax.training.config.run_config import OptimConfig
from ifa_jax.training.experiment import Experiment
from ifa_jax.training.fault_tolerance import nonfinite_search
from ifa_jax.training.metric_writer import BadStep, MetricsLog
from ifa_jax.training.steps import TrainStep
from ifa_jax.workdir.run_folder import RunFolder

# Describes each bad step, one JSON object a line.
NAME = "bad_numbers.jsonl"
# A run that skips stops after so many in a row: its parameters are bad.
MOST_IN_A_ROW = 10
# Number of rows in a message; the file names the whole batch.
_NAMED = 8

_log = logging.getLogger("ifa_jax")


class BadNumbers:
  """Describes the bad steps of a run, and stops it or lets it continue."""

  def __init__(
    self, experiment: Experiment, folder: RunFolder, train_step: TrainStep
  ):
    """Computes nothing yet."""
    self._experiment = experiment
    self._file = folder.file(NAME)
    self._step = train_step
    self._last, self._in_a_row = 0, 0

  def meet(self, bad: BadStep, rows: np.ndarray, params: Any) -> None:
    """Records a bad step, and warns of it or stops.

    Args:
      bad: the step.
      rows: int64[1, B], its batch, of all processes.
      params: on the devices; the step's, or those of a later one.

    Raises:
      ValueError: if bad numbers stop the run, or after too many in a row. One
        line with the step, the first array that was bad, and the rows.
    """
    following = bad.step == self._last + 1
    self._in_a_row = self._in_a_row + 1 if following else 1
    self._last = bad.step
    record = self._describe(bad, rows, params)
    if collectives.is_first():
      with open(self._file, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    message = self._message(record, bad)
    if self._experiment.config.train.on_bad_numbers == "stop":
      raise ValueError(f"{message}; stopped (train.on_bad_numbers)")
    if self._in_a_row == MOST_IN_A_ROW:
      raise ValueError(f"{message}; stopped, the {MOST_IN_A_ROW}th in a row")
    _log.warning("%s; skipped", message)

  def report_total(self, log: MetricsLog) -> None:
    """Logs how many updates of the whole run were skipped, if any."""
    skipped = log.total("skipped")
    if skipped:
      _log.warning(
        "%d of %d updates were skipped: their numbers were not finite, see %s",
        skipped,
        self._experiment.epochs.num_steps,
        self._file,
      )

  def _describe(
    self, bad: BadStep, rows: np.ndarray, params: Any
  ) -> dict[str, Any]:
    """Returns the record of a step."""
    # Each process searches its own rows; the first finding counts.
    own = json.dumps(self._search(bad.step, rows, params))
    found = [json.loads(text) for text in collectives.gather_texts(own)]
    first = next((x for x in found if x["first"]), found[0])
    # JSON has no numbers that are not finite.
    number = lambda x: x if math.isfinite(x) else str(x)  # noqa: E731
    return {
      "step": bad.step,
      "epoch": bad.epoch + 1,
      "loss": number(bad.loss),
      "grad_norm": number(bad.grad_norm),
      **first,
      "bad_rows": self._names([row for x in found for row in x["bad_rows"]]),
      "batch": self._names(rows[0]),
    }

  def _search(self, step: int, rows: np.ndarray, params: Any) -> dict[str, Any]:
    """Returns the first bad array among this process's rows."""
    experiment = self._experiment
    (batch,) = experiment.training_batches(rows, on_host=True)
    params = experiment.parallel.fetch(params)
    found = nonfinite_search.diagnose(self._step, params, batch, step - 1)
    if found is None:
      return {"first": None, "groups": [], "bad_rows": []}
    own = experiment.parallel.own_columns(rows)[0]
    return {
      "first": found.what,
      "groups": _groups(experiment.config.optim, params, found.path),
      # Numbers, since texts from other processes are cut.
      "bad_rows": own[found.rows[:_NAMED]].tolist(),
    }

  def _names(self, rows: Iterable[int]) -> list[str]:
    split = self._experiment.data.split("train")
    return [split.describe(row).id for row in rows if row >= 0]

  def _message(self, record: dict[str, Any], bad: BadStep) -> str:
    first = record["first"]
    first = f"first {first}" if first else "none when computed again"
    if record["groups"]:
      first += f" (optim.groups: {', '.join(record['groups'])})"
    rows, what = record["bad_rows"], "bad rows"
    if not rows:
      rows, what = record["batch"], "the batch"
    more = "" if len(rows) <= _NAMED else ", ..."
    return (
      f"step {bad.step}: expected finite numbers, got loss {bad.loss:.6g} and"
      f" gradient norm {bad.grad_norm:.6g}; {first};"
      f" {what}: {', '.join(rows[:_NAMED])}{more}; details are in {self._file}"
    )


def _groups(settings: OptimConfig, params: Any, path: str) -> list[str]:
  """Returns the groups of a parameter, or of all of a layer's parameters."""
  labels = optimizer.group_parameters(APART.convert(params), settings.patterns)
  named: dict[str, Any] = traverse_util.flatten_dict(labels, sep="/")
  below = lambda name: f"{name}/".startswith(f"{path}/")  # noqa: E731
  return sorted({x for name, x in named.items() if path and below(name)})
