"""The training loop: epochs, dev after each, checkpoints, test once at the end.

A run is a function of its config and dataset. Killed at any time and started
again, it resumes from its newest checkpoint with the same batches, dropout and
updates as without the interruption.
"""

import contextlib
import dataclasses
import logging
import os
from typing import Any, NoReturn

import jax
import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ifa_jax.cli import progress, tables
from ifa_jax.models.layers.layer_layout import APART
from ifa_jax.runtime import collectives
from ifa_jax.statistics import metrics
from ifa_jax.training import evaluation, recorded_inputs
from ifa_jax.training.config import run_record
from ifa_jax.training.experiment import Experiment
from ifa_jax.training.fault_tolerance.nonfinite import BadNumbers
from ifa_jax.training.fault_tolerance.preemption import Preemption
from ifa_jax.training.initialize import Start
from ifa_jax.training.metric_writer import Meter, MetricsLog, read_metric
from ifa_jax.training.steps import TrainStep
from ifa_jax.workdir.checkpoints import Checkpoints, Scores, Window, recover
from ifa_jax.workdir.run_folder import RunFolder
from ifa_jax.workdir.state import TrainState

_log = logging.getLogger("ifa_jax")


def run(experiment: Experiment, workdir: str) -> dict[str, Any]:
  """Trains or resumes, and scores dev and test with the best state.

  `workdir` is new or holds this very run. Returns the test scores, as in
  `eval_test.json`.

  Raises:
    ValueError: if the folder holds another run, one on other inputs, or
      checkpoints that are all damaged, or another process trains there.
    preemption.StoppedError: after SIGTERM or SIGINT, when the state is saved.
  """
  folder, start = RunFolder(workdir), Start(experiment)
  metadata = experiment.prepared.metadata
  run_record.claim(folder, experiment.config, metadata, start.record)
  with contextlib.ExitStack() as stack:
    stack.enter_context(folder.held())
    recorded_inputs.keep(experiment, folder)
    folder.copy(os.path.join(experiment.prepared.folder, "tokenizer"))
    path = folder.file("checkpoints")
    collectives.run_on_first(lambda: recover(path))
    checkpoints = stack.enter_context(Checkpoints(path))
    trainer = Trainer(experiment, folder, checkpoints, start)
    if checkpoints.newest != experiment.epochs.num_steps:
      trainer.train()
    return trainer.finish()


@dataclasses.dataclass
class PendingCheckpoint:
  """A state that is saved once it is known to give finite numbers."""

  state: TrainState  # A result of `Parallel.snapshot`.
  scores: Scores | None = None
  # Metrics of the open window, for a state within one.
  window: Window | None = None
  # Dev scores show that the state is good, or else the next update: None until
  # that has begun.
  finite: jax.Array | bool | None = None


class Trainer:
  """Runs the remaining updates of an experiment."""

  def __init__(
    self,
    experiment: Experiment,
    folder: RunFolder,
    checkpoints: Checkpoints,
    start: Start,
  ):
    """Builds the steps; compiles and computes nothing yet."""
    self._experiment = experiment
    self._evaluator = evaluation.Evaluator(experiment)
    self._folder = folder
    self._checkpoints = checkpoints
    self._start, self._epochs = start, experiment.epochs
    self._pending: PendingCheckpoint | None = None
    self._preemption = Preemption()
    self._parallel = experiment.parallel
    self._train = experiment.config.train
    step = TrainStep(
      experiment.model,
      self._start.tx,
      experiment.config.seed,
      self._train.num_slices,
      self._parallel.axis,
    )
    self._step = self._parallel.compile_train(step)
    self._bad_numbers = BadNumbers(experiment, folder, step)

  def train(self) -> None:
    """Runs all remaining updates."""
    step = self._checkpoints.newest or 0
    window = self._checkpoints.window(step) if step else []
    if step:
      _log.info("Resuming from step %d of %s", step, self._folder.path)
      saved = self._start.saved(self._checkpoints, step)
      state = self._parallel.copy(saved)
    else:
      recorded_inputs.check_weights(self._experiment, self._folder)
      state = self._start.fresh()
    with (
      self._preemption,
      MetricsLog(self._folder, step) as log,
      self._progress_bar(step) as bar,
      logging_redirect_tqdm([_log]),
    ):
      while step < self._epochs.num_steps:
        epoch = step // self._epochs.length
        meter = Meter(log, bar, window)
        state, step = self._run_epoch(state, step, epoch, meter)
        window = []
        scores = self._score_dev(state, step, epoch, log)
        self._pending = PendingCheckpoint(
          self._snapshot(state), scores, finite=True
        )
        if self._preemption.reached(step):
          self._save_and_stop()
      self._save()
      self._bad_numbers.report_total(log)

  def finish(self) -> dict[str, Any]:
    """Scores dev and test with the selected checkpoint, unless that is done."""
    selected, folder = self._checkpoints.best_scored(), self._folder
    names = {split: f"eval_{split}.json" for split in ("dev", "test")}
    done: dict[str, Any] = {x: folder.read_json(y) for x, y in names.items()}
    # --mode=evaluate may have scored another checkpoint during the run.
    missing = any(
      not isinstance(x, dict) or x.get("step") != selected
      for x in done.values()
    )
    if collectives.broadcast_from_first(missing):
      step, params = evaluation.load_best(self._experiment, self._checkpoints)
      for split in done:
        rows = self._experiment.data.split(split)
        found = self._evaluator.predict(params, rows)
        done[split] = evaluation.write(
          self._experiment, folder, split, found, step
        )
    if collectives.is_first():
      title = f"Test scores of {folder.path}"
      tables.print_scores(done["test"], title=title)
    return done["test"]

  def _run_epoch(
    self, state: TrainState, step: int, epoch: int, meter: Meter
  ) -> tuple[TrainState, int]:
    """Runs the rest of an epoch, counted from 0, with its checkpoints."""
    rows = self._epochs.rows_left(step, epoch)
    batches = self._experiment.training_batches(rows)
    for _, batch in self._parallel.ahead(batches):
      state, sums = self._step(state, batch)
      # Metrics before the checkpoint: a resumed run does not write them again.
      # Both wait for the device while it computes the step that has just begun.
      if self._pending and self._pending.finite is not None:
        self._flush(meter, state)
        self._save()
      step += 1
      meter.add(sums, self._epochs.real_rows(step))
      if self._pending:
        self._pending.finite = sums["finite"]
      if self._preemption.is_reached:
        self._save_and_stop()
      saving = step % self._train.checkpoint_steps == 0
      # A window ends with each checkpoint: a resumed run has the same windows.
      if saving or step % self._train.log_steps == 0:
        meter.end_window(step, epoch)
      self._meet_bad_steps(meter, state)
      # The last step of an epoch is saved with its dev scores.
      if self._epochs.ends_with(step):
        continue
      if saving:
        self._save()
        self._pending = PendingCheckpoint(self._snapshot(state))
      if self._preemption.reached(step):
        self._keep_for_stop(state, meter)
    meter.end_window(step, epoch)
    self._flush(meter, state)
    self._save()
    return state, step

  def _snapshot(self, state: TrainState) -> TrainState:
    """Returns a copy of a state for a checkpoint, every layer apart."""
    return self._parallel.snapshot(state, APART.convert)

  def _save(self) -> None:
    """Starts to write the pending checkpoint, if there is a good one."""
    pending, self._pending = self._pending, None
    if pending and pending.finite is not None and read_metric(pending.finite):
      self._checkpoints.save(pending.state, pending.scores, pending.window)

  def _keep_for_stop(self, state: TrainState, meter: Meter) -> None:
    """Makes a pending checkpoint of any step, with its open window."""
    self._flush(meter, state)
    if self._pending and self._pending.finite is not None:
      self._save()
    self._pending = PendingCheckpoint(
      self._snapshot(state), window=meter.open_window()
    )

  def _save_and_stop(self) -> NoReturn:
    """Writes the pending checkpoint and ends the process."""
    self._save()
    self._checkpoints.wait()
    self._preemption.stop(self._checkpoints.newest or 0)

  def _flush(self, meter: Meter, state: TrainState) -> None:
    """Writes the metrics of all ended windows, and handles bad steps."""
    meter.flush()
    self._meet_bad_steps(meter, state)

  def _meet_bad_steps(self, meter: Meter, state: TrainState) -> None:
    """Stops, or warns, if metrics that were written are not finite."""
    while meter.bad_steps:
      bad = meter.bad_steps.pop(0)
      rows = self._epochs.rows_left(bad.step - 1, bad.epoch)[:1]
      self._bad_numbers.meet(bad, rows, state.params)

  def _score_dev(
    self, state: TrainState, step: int, epoch: int, log: MetricsLog
  ) -> dict[str, float]:
    """Evaluates dev; returns accuracy, precision, recall and F1."""
    predictions = self._evaluator.predict(
      state.params, self._experiment.data.split("dev")
    )
    right = predictions.gold == predictions.predicted
    scores = {"accuracy": float(np.mean(right))}
    scores |= metrics.micro_f1(predictions.gold, predictions.predicted)
    log.write(
      step, epoch + 1, **{f"dev_{name}": x for name, x in scores.items()}
    )
    _log.info(
      "epoch %d of %d (protocol %s): dev F1 %.2f, accuracy %.2f",
      epoch + 1,
      self._train.total_epochs,
      self._experiment.prepared.protocol,
      100 * scores["f1"],
      100 * scores["accuracy"],
    )
    return scores

  def _progress_bar(self, step: int) -> tqdm:
    return progress.bar(
      desc="train",
      total=self._epochs.num_examples(self._epochs.num_steps),
      initial=self._epochs.num_examples(step),
      unit=" examples",
      disable=not self._train.progress or not collectives.is_first(),
    )
