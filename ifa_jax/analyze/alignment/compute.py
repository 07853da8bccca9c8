"""A batch to posts with their maps, by a run's model."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from ifa_jax.analyze.alignment.posts import Post
from ifa_jax.analyze.alignment.readers import Reader
from ifa_jax.analyze.alignment.rows import Row
from ifa_jax.batch import Batch, blank_pictures
from ifa_jax.models import ModelOutput


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
    output: Any = self.model.apply({"params": params}, batch, capture=True)
    without: Any = self.model.apply({"params": params}, blank)
    return Looked(
      jax.nn.softmax(output.logits),
      jax.nn.softmax(without.logits),
      self.captured(output),
    )


class Aligner:
  """Turns batches into posts with their maps, on one device."""

  def __init__(
    self,
    look: Callable[[Batch, Batch], Looked],
    relations: Sequence[str],
    reader: Reader,
  ):
    """Computes nothing yet.

    Args:
      look: a `Look`, compiled with the run's parameters.
      relations: names by id.
      reader: of the model's maps.
    """
    self._look = look
    self._relations = relations
    self._reader = reader

  def posts(self, rows: Sequence[Row], batch: Batch) -> Iterator[Post]:
    """Yields a post for each row.

    Args:
      rows: what the first rows of the batch are; it may have more.
      batch: of numpy arrays.

    Raises:
      ValueError: if no token stands for an entity of a row.
    """
    blank = blank_pictures(batch)
    looked = jax.device_get(self._look(batch, blank))
    for i, row in enumerate(rows):
      yield self._post(row, batch, looked, i)

  def _post(self, row: Row, batch: Batch, looked: Looked, i: int) -> Post:
    names = self._relations
    named = lambda p: dict(zip(names, map(float, p), strict=True))  # noqa: E731
    return Post(
      row=row,
      gold=None if batch.label is None else names[int(batch.label[i])],
      probabilities=named(looked.probabilities[i]),
      blanked=named(looked.blanked[i]),
      alignment=self._reader.align(
        np.asarray(looked.weights[:, i]), row, batch, i
      ),
      sizes=self._reader.sizes,
    )
