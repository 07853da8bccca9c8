"""Maps of the rows of a run's dataset."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from ifa_jax.analyze.alignment import compute, readers
from ifa_jax.analyze.alignment.posts import AlignedPost, DisplayRow
from ifa_jax.analyze.alignment.readers import MapReader
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.data.scenes import store
from ifa_jax.data.text.row_text import RowText
from ifa_jax.runtime.tensorflow import tf
from ifa_jax.training import evaluation, experiment
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

# Attention of every layer is kept: 12 layers of 80 x 190 take 6 MB for 8 rows.
BATCH_SIZE = 8


def reader(built: experiment.Experiment) -> MapReader:
  """Returns the reader of an experiment's model.

  Raises:
    ValueError: for a model without an alignment, with the reason.
  """
  return readers.reader(
    built.config.model,
    built.config.data.scenes,
    built.data.geometry.slots,
    built.prepared.metadata["image_size"],
  )


def load_best(folder: RunFolder) -> evaluation.Best:
  """Loads the checkpoint with the best dev F1 to one device.

  Raises:
    ValueError: if no checkpoint has dev scores yet.
  """
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    step = checkpoints.best_scored()
    params = checkpoints.restore_params(step)
  return evaluation.Best(step, jax.device_put(params))


class SplitAligner:
  """Computes the maps of rows of splits on one device."""

  def __init__(self, built: experiment.Experiment, params: Any):
    """Compiles nothing; the first batch of each shape does.

    Args:
      params: on the device.

    Raises:
      ValueError: for a model without an alignment, with the reason.
    """
    self._built = built
    maps = reader(built)
    run = jax.jit(compute.capture(built.model, maps.field))
    self._align = functools.partial(
      compute.align_batch,
      functools.partial(run, params),
      built.prepared.relations,
      maps,
    )
    # `reader` requires scenes for a model of regions.
    self._scenes = functools.cache(
      functools.partial(store.read_split, str(built.config.data.scenes))
    )

  def posts(self, split: Split, rows: Sequence[int]) -> Iterator[AlignedPost]:
    """Yields a post for each row, in this order."""
    batch_size = min(BATCH_SIZE, len(rows))
    batches = sampling.in_batches(np.asarray(rows), batch_size)
    read = self._built.data.batches(split, batches, on_host=True)
    for numbers, batch in zip(batches, read, strict=True):
      real = [self.read_row(split, int(n)) for n in numbers[batch.valid]]
      yield from self._align(real, batch)

  def read_row(self, split: Split, number: int) -> DisplayRow:
    """Returns a row with its pictures, and the objects that the model reads."""
    inputs = self._built.data.inputs
    text = inputs.texts(split)[number]
    row = read_row(split, number, text)
    if reads_caption := self._built.config.model.reads_caption:
      return row.with_caption(reads_caption)
    if self._built.config.model.regions is None:
      return row
    num_objects = inputs.region_reader(split).num_objects(number)
    scene = self._scenes(split.name).scene(text.img_id)
    return row.with_objects(scene, num_objects)


def read_row(split: Split, row: int, text: RowText) -> DisplayRow:
  """Reads a row of a prepared dataset; its pictures remain encoded.

  Args:
    text: as the model reads it.
  """
  fields = tf.train.Example.FromString(split[row]).features.feature
  boxes = {}
  for kind in ("grounded", "detected"):
    edges = np.asarray(fields[f"{kind}_boxes"].float_list.value, np.float64)
    boxes[kind] = [tuple(box) for box in edges.reshape(-1, 4).tolist()]
  width, height = fields["picture_size"].int64_list.value
  return DisplayRow(
    text=text,
    picture_size=(width, height),
    boxes=boxes,
    squares={
      name: list(fields[name].bytes_list.value)
      for name in ("image", "grounded", "detected")
    },
  )
