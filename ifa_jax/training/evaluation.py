"""Scores and predictions of a split; every row counts once."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ifa_jax.batch import Batch
from ifa_jax.cli import tables
from ifa_jax.data.pipeline import sampling as orders
from ifa_jax.data.text.row_text import RowText
from ifa_jax.models.layers.layer_layout import LayerLayout
from ifa_jax.runtime import collectives
from ifa_jax.statistics import metrics
from ifa_jax.training.config import run_record
from ifa_jax.training.eval_step import EvalStep
from ifa_jax.training.experiment import Experiment
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

if TYPE_CHECKING:
  from ifa_jax.data.pipeline.dataset import Split

Change = Callable[[Batch], Batch]


@dataclasses.dataclass(frozen=True)
class Predictions:
  """What a model says of every row of a split, in stored order.

  Attributes:
    gold: int[n] relation ids.
    probabilities: float32[n, C].
  """

  gold: np.ndarray
  probabilities: np.ndarray

  @property
  def predicted(self) -> np.ndarray:
    """The likeliest relation of each row, int[n]."""
    return self.probabilities.argmax(axis=-1)


class Evaluator:
  """Predicts splits with one compiled function."""

  def __init__(self, experiment: Experiment):
    """Compiles nothing yet; the first batch of each shape does."""
    self._experiment = experiment
    self._parallel = experiment.parallel
    self._step = self._parallel.compile_rows(EvalStep(experiment.model))

  def predict(
    self,
    params: Any,
    split: "Split",
    visual_rows: np.ndarray | None = None,
    change: Change = lambda batch: batch,
  ) -> Predictions:
    """Returns the predictions of a split.

    Args:
      params: as they lie on the devices.
      split: whose rows, all of them, once each.
      visual_rows: int64[n], whose pictures each row gets; None: its own.
      change: applied to each batch of numpy arrays, e.g. to blank pictures.

    Raises:
      ValueError: for a split without rows, or a model that gives NaN.
    """
    batch_size = self._experiment.config.eval.batch_size
    if not len(split):
      raise ValueError(f"split {split.name}: want rows to predict, found none")
    # Checkpoints are converted to the layout of training, so that the step is
    # compiled once and its results are bitwise equal.
    params = LayerLayout(self._experiment.scans).convert(params)
    order = orders.evaluation_order(len(split), batch_size)
    batches = self._experiment.data.batches(split, order, visual_rows)
    results = []
    for batch, sent in self._parallel.ahead(map(change, batches)):
      # Results stay on the device until all steps are under way.
      results.append((batch.label, batch.valid, self._step(params, sent)))
    predictions = self._collect(results)
    bad = np.flatnonzero(~np.isfinite(predictions.probabilities).all(axis=-1))
    if len(bad):
      raise ValueError(
        f"split {split.name}: want finite probabilities, found {len(bad)} of"
        f" {len(split)} rows without, the first"
        f" {split.describe(int(bad[0])).id}: training has diverged"
      )
    return predictions

  def _collect(self, results) -> Predictions:
    gold, valid, rows = (
      self._parallel.all_columns(np.stack(column))
      for column in zip(
        *((g, v, self._parallel.rows(r)) for g, v, r in results), strict=True
      )
    )
    return Predictions(gold[valid], rows[valid])


def score(experiment: Experiment, predictions: Predictions) -> dict[str, Any]:
  """Returns the scores of `metrics.score`, with their protocol in front."""
  return {
    "protocol": experiment.prepared.protocol,
    **metrics.score(
      predictions.gold, predictions.predicted, experiment.prepared.relations
    ),
  }


def write(
  experiment: Experiment,
  folder: RunFolder,
  split: str,
  predictions: Predictions,
  step: int,
) -> dict[str, Any]:
  """Writes `eval_{split}.json` and `predictions_{split}.jsonl`, by process 0.

  No process returns before.

  Args:
    experiment: whose model predicted.
    folder: the run's.
    split: "dev" or "test".
    predictions: of every row of the split.
    step: of the checkpoint that predicted.

  Returns:
    The scores, as written.
  """
  rows = experiment.data.split(split)
  scores = {"split": split, "step": step} | score(experiment, predictions)
  source = experiment.data.inputs.visual_source(rows)
  scores |= {} if source is None else {"visual_source": source}
  lines = _lines(experiment, rows, predictions)

  def write_files():
    folder.write_lines(f"predictions_{split}.jsonl", lines)
    folder.write_json(f"eval_{split}.json", scores)

  collectives.together(write_files)
  return scores


def _lines(
  experiment: Experiment, split: "Split", predictions: Predictions
) -> Iterator[dict[str, Any]]:
  """Yields what `predictions_{split}.jsonl` holds of each row."""
  relations = experiment.prepared.relations
  for i, probabilities in enumerate(predictions.probabilities):
    row = split.describe(i)
    best = int(probabilities.argmax())
    yield {
      "id": row.id,
      "gold": relations[predictions.gold[i]],
      "pred": relations[best],
      "probability": _rounded(probabilities[best]),
      "protocol": experiment.prepared.protocol,
      **_readable(row),
      "probabilities": {
        name: _rounded(p)
        for name, p in zip(relations, probabilities, strict=True)
      },
    }


def _readable(row: RowText) -> dict[str, str]:
  span = lambda ends: " ".join(row.words[slice(*ends)])  # noqa: E731
  return {
    "head": span(row.head),
    "tail": span(row.tail),
    "text": " ".join(row.words),
    "img_id": row.img_id,
  }


def _rounded(probability: float) -> float:
  """Six digits: as many as float32 softmax holds across batch shapes."""
  return round(float(probability), 6)


class Best(NamedTuple):
  """A run's selected checkpoint: its step, and parameters on the devices."""

  step: int
  params: Any


def load_best(experiment: Experiment, checkpoints: Checkpoints) -> Best:
  """Loads the checkpoint with the best dev F1.

  Raises:
    ValueError: if no checkpoint has dev scores yet.
  """
  step = checkpoints.best_scored()
  params = checkpoints.restore_params(step)
  return Best(step, experiment.parallel.copy(params))


def run(
  experiment: Experiment, folder: RunFolder, split: str
) -> dict[str, Any]:
  """Scores a split with a run's best checkpoint; writes and prints it.

  Args:
    experiment: built from the run's own config.
    folder: the run's.
    split: "dev" or "test".

  Raises:
    ValueError: if the folder holds another run, or one without a checkpoint.
  """
  run_record.claim(folder, experiment.config, experiment.prepared.metadata)
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    best = load_best(experiment, checkpoints)
  predictions = Evaluator(experiment).predict(
    best.params, experiment.data.split(split)
  )
  scores = write(experiment, folder, split, predictions, best.step)
  if collectives.is_first():
    tables.print_scores(scores, title=f"{split} scores of {folder.path}")
  return scores
