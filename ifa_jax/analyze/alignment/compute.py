"""Runs a model on a batch and returns the posts with their maps."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from ifa_jax.analyze.alignment.posts import AlignedPost, DisplayRow
from ifa_jax.analyze.alignment.readers import MapReader
from ifa_jax.batch import Batch, blank_pictures


def capture(
  model: nn.Module, field: str
) -> Callable[[Any, Batch, Batch], tuple[jax.Array, ...]]:
  """Returns a function of parameters, a batch, and the batch without pictures.

  It returns the probabilities of both, float32[B, C], and a captured field of
  `ModelOutput`, float32[maps, B, T, S].
  """

  def run(params, batch, blank):
    output: Any = model.apply({"params": params}, batch, capture=True)
    without: Any = model.apply({"params": params}, blank)
    probabilities = jax.nn.softmax(output.logits)
    return probabilities, jax.nn.softmax(without.logits), getattr(output, field)

  return run


def align_batch(
  run: Callable[[Batch, Batch], tuple[jax.Array, ...]],
  relations: Sequence[str],
  reader: MapReader,
  rows: Sequence[DisplayRow],
  batch: Batch,
) -> Iterator[AlignedPost]:
  """Yields a post for each row.

  Args:
    run: the function of `capture`, with the run's parameters.
    relations: names by id.
    rows: the first rows of the batch; the others are padding.
    batch: of numpy arrays.

  Raises:
    ValueError: if an entity of a row has no token.
  """
  probabilities, blanked, weights = jax.device_get(
    run(batch, blank_pictures(batch))
  )
  for i, row in enumerate(rows):
    gold = None if batch.label is None else relations[int(batch.label[i])]
    aligned = reader.align(np.asarray(weights[:, i]), row, batch, i)
    with_pictures, without = (
      dict(zip(relations, map(float, values[i]), strict=True))
      for values in (probabilities, blanked)
    )
    yield AlignedPost(
      row, gold, with_pictures, without, aligned, reader.sizes, reader.resize
    )
