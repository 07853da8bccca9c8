"""What a run does about updates that were not finite: stop, or go on without.

The step itself leaves parameters as they were (`steps.TrainStep`), so that what
is found here late, when metrics arrive, is found with good parameters.
"""

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from ifa_jax.models.layers.layer_layout import APART
from ifa_jax.runtime import collectives
from ifa_jax.training import epochs
from ifa_jax.training import optimizer as optim
from ifa_jax.training.config.run_config import OptimConfig
from ifa_jax.training.experiment import Experiment
from ifa_jax.training.fault_tolerance import nonfinite_search
from ifa_jax.training.metric_writer import BadStep, MetricsLog
from ifa_jax.training.steps import TrainStep
from ifa_jax.workdir.run_folder import RunFolder

# Where each of them is described, a JSON object a line.
NAME = "bad_numbers.jsonl"
# A run that skips gives up behind so many in a row: its parameters are bad.
MOST_IN_A_ROW = 10
# Of rows in a message; the file names those of the whole batch.
_NAMED = 8

_log = logging.getLogger("ifa_jax")


class BadNumbers:
  """Describes the bad steps of a run, and stops it or lets it go on."""

  def __init__(
    self, experiment: Experiment, folder: RunFolder, train_step: TrainStep
  ):
    """Computes nothing yet.

    Args:
      experiment: whose `train.on_bad_numbers` is "stop" or "skip".
      folder: the run's; gets `bad_numbers.jsonl`.
      train_step: the update.
    """
    self._experiment = experiment
    self._folder = folder
    self._step = train_step
    self._skips = experiment.config.train.on_bad_numbers == "skip"
    self._last, self._in_a_row = 0, 0

  def meet(self, bad: BadStep, rows: np.ndarray, params: Any) -> None:
    """Writes down a bad step and warns of it, or stops.

    Args:
      bad: the step.
      rows: int64[1, B], its batch, of all processes.
      params: on the devices; the step's, or those of a later one.

    Raises:
      ValueError: if bad numbers are to stop the run, or too many came in a row.
        One line with the step, what went first and the rows.
    """
    following = bad.step == self._last + 1
    self._in_a_row = self._in_a_row + 1 if following else 1
    self._last = bad.step
    record = self._describe(bad, rows, params)
    if collectives.is_first():
      with open(self._folder.file(NAME), "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    message = self._message(record, bad)
    if not self._skips:
      raise ValueError(f"{message}; stopped, as train.on_bad_numbers says")
    if self._in_a_row == MOST_IN_A_ROW:
      raise ValueError(f"{message}; stopped, the {MOST_IN_A_ROW}th in a row")
    _log.warning("%s; skipped", message)

  def tell_total(self, log: MetricsLog) -> None:
    """Tells how many updates of the whole run were skipped, if any were."""
    skipped = log.total("skipped")
    if skipped:
      _log.warning(
        "%d of %d updates were skipped: their numbers were not finite, see %s",
        skipped,
        self._experiment.epochs.num_steps,
        self._folder.file(NAME),
      )

  def _describe(
    self, bad: BadStep, rows: np.ndarray, params: Any
  ) -> dict[str, Any]:
    """Returns what the file holds of a step."""
    # Each process looks at its own rows, and the first that finds says what.
    own = json.dumps(self._find(bad.step, rows, params))
    found = [json.loads(text) for text in collectives.gather_texts(own)]
    first = next((x for x in found if x["first"]), found[0])
    return {
      "step": bad.step,
      "epoch": bad.epoch + 1,
      "loss": _number(bad.loss),
      "grad_norm": _number(bad.grad_norm),
      **first,
      "bad_rows": [name for x in found for name in x["bad_rows"]],
      "batch": self._names(rows[0]),
    }

  def _find(self, step: int, rows: np.ndarray, params: Any) -> dict[str, Any]:
    """Returns what went first among this process's rows."""
    experiment = self._experiment
    split = experiment.data.split("train")
    pictures = epochs.train_rows(experiment.data, split, experiment.config.data)
    (batch,) = experiment.data.batches(split, rows, pictures, on_host=True)
    params = experiment.parallel.fetch(params)
    found = nonfinite_search.diagnose(self._step, params, batch, step - 1)
    if found is None:
      return {"first": None, "groups": [], "bad_rows": []}
    own = experiment.parallel.own_columns(rows)[0]
    groups = _groups(experiment.config.optim, params, found.path)
    return {
      "first": found.what,
      "groups": groups,
      "bad_rows": self._names(own[found.rows[:_NAMED]]),
    }

  def _names(self, rows: np.ndarray) -> list[str]:
    split = self._experiment.data.split("train")
    return [split.describe(row).id for row in rows if row >= 0]

  def _message(self, record: Mapping[str, Any], bad: BadStep) -> str:
    groups = ", ".join(record["groups"])
    first = record["first"]
    first = f"first {first}" if first else "none when computed again"
    rows, what = record["bad_rows"], "bad rows"
    if not rows:
      rows, what = record["batch"], "the batch"
    more = "" if len(rows) <= _NAMED else ", ..."
    return (
      f"step {bad.step}: want finite numbers, found loss {bad.loss:.6g} and"
      f" gradient norm {bad.grad_norm:.6g}; {first}"
      f"{f' (optim.groups: {groups})' if groups else ''};"
      f" {what}: {', '.join(rows[:_NAMED])}{more}; all of it is in"
      f" {self._folder.file(NAME)}"
    )


def _groups(settings: OptimConfig, params: Any, path: str) -> list[str]:
  """Returns the groups of a parameter, or of all of a layer's."""
  apart = APART.convert(params)
  labels = optim.group_parameters(apart, settings.patterns)
  named: dict[str, Any] = traverse_util.flatten_dict(labels, sep="/")
  below = lambda name: f"{name}/".startswith(f"{path}/")  # noqa: E731
  return sorted({x for name, x in named.items() if path and below(name)})


def _number(value: float) -> float | str:
  """Returns what JSON can hold."""
  return value if math.isfinite(value) else str(value)
