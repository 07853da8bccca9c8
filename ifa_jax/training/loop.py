"""The training loop: epochs, dev after each, checkpoints, test once at the end.

A run is a function of its config and dataset. Killed at any moment and started
again, it goes on from its newest checkpoint with the same batches, dropout and
updates as if it had never stopped.
"""

import contextlib
import functools
import logging
import os
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ifa_jax.batch import Batch
from ifa_jax.cli import progress, tables
from ifa_jax.models.layers.layer_layout import APART
from ifa_jax.runtime import collectives
from ifa_jax.statistics import metrics
from ifa_jax.training import epochs, evaluation
from ifa_jax.training.config import run_record
from ifa_jax.training.experiment import Experiment
from ifa_jax.training.fault_tolerance.nonfinite import BadNumbers
from ifa_jax.training.fault_tolerance.pending_checkpoint import Unsaved
from ifa_jax.training.fault_tolerance.preemption import Preemption
from ifa_jax.training.initialize import Start
from ifa_jax.training.metric_writer import Meter, MetricsLog
from ifa_jax.training.steps import TrainStep
from ifa_jax.workdir import recovery
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder
from ifa_jax.workdir.state import TrainState

_log = logging.getLogger("ifa_jax")


def run(experiment: Experiment, workdir: str) -> dict[str, Any]:
  """Trains, or goes on training, and scores dev and test with the best state.

  Args:
    experiment: what to train.
    workdir: the run's folder, new or holding this very run.

  Returns:
    The test scores, as in `eval_test.json`.

  Raises:
    ValueError: if the folder holds another run, or checkpoints that are all
      damaged, or another process trains there.
    preemption.StoppedError: after SIGTERM or SIGINT, when all is saved.
  """
  folder, start = RunFolder(workdir), Start(experiment)
  metadata = experiment.prepared.metadata
  run_record.claim(folder, experiment.config, metadata, start.record)
  # So that the run can read posts of one's own without the dataset.
  folder.copy(os.path.join(experiment.prepared.folder, "tokenizer"))
  for name, text in experiment.data.inputs.files().items():
    folder.write_text(name, text)
  with contextlib.ExitStack() as stack:
    stack.enter_context(folder.held())
    path = folder.file("checkpoints")
    collectives.together(
      lambda: recovery.clear(path) if collectives.is_first() else None
    )
    checkpoints = stack.enter_context(Checkpoints(path))
    trainer = Trainer(experiment, folder, checkpoints, start)
    if checkpoints.newest != experiment.epochs.num_steps:
      trainer.train()
    checkpoints.wait()
    return finish(experiment, folder, checkpoints, trainer.evaluator)


def finish(
  experiment: Experiment,
  folder: RunFolder,
  checkpoints: Checkpoints,
  evaluator: evaluation.Evaluator,
) -> dict[str, Any]:
  """Scores dev and test with the selected checkpoint, unless that was done."""
  splits, selected = ("dev", "test"), checkpoints.best_scored()
  done: list[Any] = [folder.read_json(f"eval_{split}.json") for split in splits]
  # Scores of a run on its way, by --mode=evaluate, may be of another one.
  missing = any(x is None or x["step"] != selected for x in done)
  if collectives.first_says(missing):
    best = evaluation.load_best(experiment, checkpoints)
    for i, split in enumerate(splits):
      predictions = evaluator.predict(best.params, experiment.data.split(split))
      done[i] = evaluation.write(
        experiment, folder, split, predictions, best.step
      )
  if collectives.is_first():
    tables.print_scores(done[-1], title=f"Test scores of {folder.path}")
  return done[-1]


class Trainer:
  """Runs the updates of an experiment, from wherever its folder stands."""

  def __init__(
    self,
    experiment: Experiment,
    folder: RunFolder,
    checkpoints: Checkpoints,
    start: Start,
  ):
    """Builds the steps; compiles and computes nothing yet."""
    self.experiment = experiment
    self.evaluator = evaluation.Evaluator(experiment)
    self._folder = folder
    self._checkpoints = checkpoints
    self._start, self._epochs = start, experiment.epochs
    self._unsaved: Unsaved | None = None
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

  def _first_state(self, step: int) -> TrainState:
    """Returns the state of a step that was saved, or a fresh one's of 0."""
    if not step:
      return self._start.fresh()
    _log.info("Resuming from step %d of %s", step, self._folder.path)
    return self._start.saved(self._checkpoints, step)

  def _snapshot(self, state: TrainState) -> TrainState:
    """Returns a copy of a state as checkpoints have it, every layer apart."""
    return self._parallel.snapshot(state, APART.convert)

  def train(self) -> None:
    """Runs all updates that are left."""
    step = self._checkpoints.newest or 0
    window = self._checkpoints.window(step) if step else []
    state = self._parallel.copy(self._first_state(step))
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
        self._unsaved = Unsaved(self._snapshot(state), scores)
        if self._preemption.reached(step):
          self._save_and_stop()
      self._save()
      self._bad_numbers.tell_total(log)

  def _run_epoch(
    self, state: TrainState, step: int, epoch: int, meter: Meter
  ) -> tuple[TrainState, int]:
    """Runs the rest of an epoch, counted from 0, with its checkpoints."""
    for _, batch in self._parallel.ahead(self._batches(step, epoch)):
      state, sums = self._step(state, batch)
      # A checkpoint must not be newer than the metrics: they come once.
      if self._unsaved and self._unsaved.is_due:
        meter.flush()
        self._meet_bad_steps(meter, state)
        self._save()
      step += 1
      meter.add(sums, self._epochs.real_rows(step))
      if self._unsaved:
        self._unsaved.following = sums
      if self._preemption.is_reached:
        self._save_and_stop()
      saving = step % self._train.checkpoint_steps == 0
      # A window ends with each checkpoint: a resumed run has the same windows.
      if saving or step % self._train.log_steps == 0:
        meter.end_window(step, epoch)
      self._meet_bad_steps(meter, state)
      if saving and not self._epochs.ends_with(step):
        self._save()
        self._unsaved = Unsaved(self._snapshot(state))
      if not self._epochs.ends_with(step) and self._preemption.reached(step):
        self._keep_for_stop(state, meter)
    meter.end_window(step, epoch)
    meter.flush()
    self._meet_bad_steps(meter, state)
    self._save()
    return state, step

  def _save(self) -> None:
    """Begins to write what was asked for, if anything, and if it is good.

    With a step under way, the device computes while the state comes to the
    host.
    """
    unsaved, self._unsaved = self._unsaved, None
    if unsaved and unsaved.is_good():
      self._checkpoints.save(unsaved.state, unsaved.scores, unsaved.window)

  def _keep_for_stop(self, state: TrainState, meter: Meter) -> None:
    """Asks for a checkpoint of any step, with the window that it is within."""
    meter.flush()
    self._meet_bad_steps(meter, state)
    if self._unsaved and self._unsaved.is_due:
      self._save()
    self._unsaved = Unsaved(self._snapshot(state), window=meter.open_window())

  def _save_and_stop(self) -> NoReturn:
    """Ends the process when what was asked for is written."""
    self._save()
    self._checkpoints.wait()
    self._preemption.stop(self._checkpoints.newest or 0)

  def _meet_bad_steps(self, meter: Meter, state: TrainState) -> None:
    """Stops, or tells, where metrics that have come were not finite."""
    while meter.bad_steps:
      bad = meter.bad_steps.pop(0)
      rows = self._epochs.rows_left(bad.step - 1, bad.epoch)[:1]
      self._bad_numbers.meet(bad, rows, state.params)

  def _batches(self, step: int, epoch: int) -> Iterator[Batch]:
    """Yields this process's batches of an epoch, from `step` on."""
    split = self.experiment.data.split("train")
    rows = self._epochs.rows_left(step, epoch)
    return self.experiment.data.batches(split, rows, self._visual_rows)

  @functools.cached_property
  def _visual_rows(self) -> np.ndarray | None:
    """Rows whose pictures training rows get; None: their own."""
    source = self.experiment.data
    split = source.split("train")
    return epochs.train_rows(source, split, self.experiment.config.data)

  def _score_dev(
    self, state: TrainState, step: int, epoch: int, log: MetricsLog
  ) -> dict[str, float]:
    """Evaluates dev; returns accuracy, precision, recall and F1."""
    predictions = self.evaluator.predict(
      state.params, self.experiment.data.split("dev")
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
      self.experiment.prepared.protocol,
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
