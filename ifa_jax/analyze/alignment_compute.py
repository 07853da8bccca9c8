"""Rows of a prepared dataset to posts with their maps, by a run's model."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from ifa_jax import evaluate, experiment
from ifa_jax.analyze.alignment_posts import Post
from ifa_jax.analyze.alignment_readers import Reader
from ifa_jax.analyze.alignment_rows import Row
from ifa_jax.batch import Batch
from ifa_jax.checkpoint import Checkpoints
from ifa_jax.data import order
from ifa_jax.data.pipeline import Split
from ifa_jax.models import ModelOutput, parameters
from ifa_jax.run_folder import RunFolder

# Attention of every layer is kept: 12 layers of 80 x 190 take 6 MB for 8 rows.
BATCH_SIZE = 8


def load_best(built: experiment.Experiment, folder: RunFolder) -> evaluate.Best:
  """Loads the checkpoint with the best dev F1 to one device.

  Raises:
    ValueError: if no checkpoint has dev scores yet.
  """
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    step = checkpoints.best_scored()
    like = parameters.abstract_params(built.model_config)
    params = checkpoints.restore_params(step, like)
  return evaluate.Best(step, jax.device_put(params))


class Looked(NamedTuple):
  """What a model makes of a batch, with its pictures and without.

  Attributes:
    probabilities: float32[B, C].
    blanked: float32[B, C], every picture masked.
    weights: float32[maps, B, T, S], see `alignment_readers.Reader.captured`.
  """

  probabilities: jax.Array
  blanked: jax.Array
  weights: jax.Array


@dataclasses.dataclass(frozen=True)
class Look:
  """One batch with captured weights, a pure function.

  Attributes:
    model: maps a `Batch` to a `ModelOutput`.
    captured: what is kept of that.
  """

  model: nn.Module
  captured: Callable[[ModelOutput], jax.Array]

  def __call__(self, params: Any, batch: Batch, blank: Batch) -> Looked:
    """Reads a batch, and the same one without its pictures."""
    output = self.model.apply({"params": params}, batch, capture=True)
    without = self.model.apply({"params": params}, blank)
    return Looked(
      jax.nn.softmax(output.logits),
      jax.nn.softmax(without.logits),
      self.captured(output),
    )


class Aligner:
  """Turns rows of a split into posts with their maps, on one device."""

  def __init__(self, built: experiment.Experiment, params: Any, reader: Reader):
    """Compiles nothing yet; the first batch of each shape does."""
    self._built = built
    self._params = params
    self._reader = reader
    self._look = jax.jit(Look(built.model, reader.captured))

  def posts(self, split: Split, rows: Sequence[int]) -> Iterator[Post]:
    """Yields a post for each row, in this order."""
    batch_size = min(BATCH_SIZE, len(rows))
    batches = order.in_batches(np.asarray(rows), batch_size)
    read = self._built.batches(split, batches)
    for numbers, batch in zip(batches, read, strict=True):
      blank = evaluate.blank_pictures(batch)
      looked = jax.device_get(self._look(self._params, batch, blank))
      for i in np.flatnonzero(batch.valid):
        row = self._reader.read_row(split, int(numbers[i]))
        yield self._post(row, batch, looked, i)

  def _post(self, row: Row, batch: Batch, looked: Looked, i: int) -> Post:
    relations = self._built.relations
    named = lambda p: dict(zip(relations, map(float, p), strict=True))  # noqa: E731
    return Post(
      row=row,
      gold=relations[batch.label[i]],
      probabilities=named(looked.probabilities[i]),
      blanked=named(looked.blanked[i]),
      alignment=self._reader.align(looked.weights[:, i], row, batch, i),
      sizes=self._reader.sizes,
    )
