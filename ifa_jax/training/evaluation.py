"""Scores and predictions of a split; every row counts once."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ifa_jax.batch import Batch
from ifa_jax.cli import tables
from ifa_jax.data.pipeline import sampling
from ifa_jax.models.layers.layer_layout import LayerLayout
from ifa_jax.runtime import collectives
from ifa_jax.statistics import metrics
from ifa_jax.training import recorded_inputs
from ifa_jax.training.eval_step import EvalStep
from ifa_jax.training.experiment import Experiment
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

if TYPE_CHECKING:
  from ifa_jax.data.pipeline.dataset import Split


@dataclasses.dataclass(frozen=True)
class Predictions:
  """A model's predictions for every row of a split, in stored order."""

  gold: np.ndarray  # int[n], relation ids.
  probabilities: np.ndarray  # float32[n, C]

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
    change: Callable[[Batch], Batch] = lambda batch: batch,
  ) -> Predictions:
    """Returns the predictions for all rows of a split.

    Args:
      params: on the devices.
      split: a split of the experiment's data.
      visual_rows: int64[n], whose pictures each row gets; None: its own.
      change: applied to each batch of numpy arrays, e.g. to blank pictures.

    Raises:
      ValueError: for a split without rows, or probabilities that are not
        finite.
    """
    if not len(split):
      raise ValueError(f"split {split.name}: expected rows, got none")
    # In the layout of training, so that checkpoints and training share one
    # compiled step, and their results are bitwise equal.
    params = LayerLayout(self._experiment.scans).convert(params)
    order = sampling.evaluation_order(len(split), self._experiment.eval_rows)
    batches = self._experiment.data.batches(split, order, visual_rows)
    results = []
    for batch, sent in self._parallel.ahead(map(change, batches)):
      # Reading a result would wait for its step: read all of them at the end.
      results.append((batch.label, batch.valid, self._step(params, sent)))
    rows = ((g, v, self._parallel.rows(r)) for g, v, r in results)
    gold, valid, probabilities = (
      self._parallel.all_columns(np.stack(column))
      for column in zip(*rows, strict=True)
    )
    # The last batch is filled up with rows that are not valid.
    predictions = Predictions(gold[valid], probabilities[valid])
    bad = np.flatnonzero(~np.isfinite(predictions.probabilities).all(axis=-1))
    if len(bad):
      raise ValueError(
        f"split {split.name}: expected finite probabilities, got {len(bad)} of"
        f" {len(split)} rows without, the first"
        f" {split.describe(int(bad[0])).id}: training has diverged"
      )
    return predictions


def write(
  experiment: Experiment,
  folder: RunFolder,
  split: str,
  predictions: Predictions,
  step: int,
  kept: Sequence[int] | None = None,
  others: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """Writes `eval_{split}.json` and `predictions_{split}.jsonl`.

  The first process writes; no process returns before.

  Args:
    experiment: the run's.
    folder: for the files.
    split: "dev" or "test".
    predictions: of `kept`.
    step: that of the checkpoint.
    kept: rows of the split; None: all.
    others: values to add to the scores.

  Returns:
    The scores, as written.
  """
  rows = experiment.data.split(split)
  scores: dict[str, Any] = {
    "split": split,
    "step": step,
    "protocol": experiment.prepared.protocol,
    **metrics.score(
      predictions.gold, predictions.predicted, experiment.prepared.relations
    ),
  }
  source = experiment.data.inputs.visual_source(rows)
  scores |= {} if source is None else {"visual_source": source}
  # Of all rows of datasets whose entities may be objects.
  by_counts = experiment.prepared.metadata.get("counts_only")
  if by_counts and kept is None:
    scores["counts_only"] = by_counts[rows.name]
  scores |= others or {}

  def write_files():
    written = lines(experiment, rows, predictions, kept)
    folder.write_lines(f"predictions_{split}.jsonl", written)
    folder.write_json(f"eval_{split}.json", scores)

  collectives.run_on_all(write_files)
  return scores


def lines(
  experiment: Experiment,
  split: "Split",
  predictions: Predictions,
  kept: Sequence[int] | None = None,
) -> Iterator[dict[str, Any]]:
  """Yields a line of `predictions_{split}.jsonl` for each of the rows `kept`.

  The dataset may have relations after those that are predicted.
  """
  relations = experiment.prepared.relations
  # Float32 softmax agrees to six digits across batch shapes.
  rounded = lambda p: round(float(p), 6)  # noqa: E731
  rows = range(len(split)) if kept is None else kept
  predicted = relations[: predictions.probabilities.shape[-1]]
  for i, number in enumerate(rows):
    row, probabilities = split.describe(number), predictions.probabilities[i]
    best = int(probabilities.argmax())
    yield {
      "id": row.id,
      "gold": relations[predictions.gold[i]],
      "pred": relations[best],
      "probability": rounded(probabilities[best]),
      "protocol": experiment.prepared.protocol,
      "head": " ".join(row.words[slice(*row.head)]),
      "tail": " ".join(row.words[slice(*row.tail)]),
      "text": " ".join(row.words),
      "img_id": row.img_id,
      "probabilities": dict(
        zip(predicted, map(rounded, probabilities), strict=True)
      ),
    }


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
  """Scores "dev" or "test" with a run's best checkpoint; writes and prints it.

  Raises:
    ValueError: if the folder holds another run, one on other inputs, or one
      without a checkpoint.
  """
  recorded_inputs.check(experiment, folder)
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    best = load_best(experiment, checkpoints)
  predictions = Evaluator(experiment).predict(
    best.params, experiment.data.split(split)
  )
  scores = write(experiment, folder, split, predictions, best.step)
  if collectives.is_first():
    tables.print_scores(scores, title=f"{split} scores of {folder.path}")
  return scores
