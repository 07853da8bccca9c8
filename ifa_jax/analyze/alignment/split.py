"""Rows of a run's dataset as posts with their maps."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from ifa_jax.analyze.alignment import readers
from ifa_jax.analyze.alignment import rows as alignment_rows
from ifa_jax.analyze.alignment.compute import Aligner, Look
from ifa_jax.analyze.alignment.posts import Post
from ifa_jax.analyze.alignment.readers import Reader
from ifa_jax.analyze.alignment.rows import Row
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.data.scenes import store
from ifa_jax.data.scenes.store import Scenes
from ifa_jax.data.text.row_text import RowText
from ifa_jax.runtime.tensorflow import tf
from ifa_jax.training import evaluation, experiment
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder

# Attention of every layer is kept: 12 layers of 80 x 190 take 6 MB for 8 rows.
BATCH_SIZE = 8


def reader(built: experiment.Experiment) -> Reader:
  """Returns what reads the maps of an experiment's model.

  Raises:
    ValueError: for a model that has none, with the reason.
  """
  return readers.reader(
    built.config.model,
    built.config.data.scenes,
    built.data.geometry.slots,
    built.prepared.metadata["image_size"],
  )


def load_best(
  built: experiment.Experiment, folder: RunFolder
) -> evaluation.Best:
  """Loads the checkpoint with the best dev F1 to one device.

  Raises:
    ValueError: if no checkpoint has dev scores yet.
  """
  with Checkpoints(folder.file("checkpoints")) as checkpoints:
    step = checkpoints.best_scored()
    params = checkpoints.restore_params(step)
  return evaluation.Best(step, jax.device_put(params))


class SplitAligner:
  """Turns rows of splits into posts with their maps, on one device."""

  def __init__(self, built: experiment.Experiment, params: Any):
    """Compiles nothing yet; the first batch of each shape does.

    Args:
      built: whose model and dataset.
      params: on the device.

    Raises:
      ValueError: for a model that has no maps, with the reason.
    """
    self._built = built
    self._scenes: dict[str, Scenes] = {}
    maps = reader(built)
    look = jax.jit(Look(built.model, maps.captured))
    self._aligner = Aligner(
      functools.partial(look, params), built.prepared.relations, maps
    )

  def posts(self, split: Split, rows: Sequence[int]) -> Iterator[Post]:
    """Yields a post for each row, in this order."""
    batch_size = min(BATCH_SIZE, len(rows))
    batches = sampling.in_batches(np.asarray(rows), batch_size)
    read = self._built.data.batches(split, batches, on_host=True)
    for numbers, batch in zip(batches, read, strict=True):
      real = [self.read_row(split, int(n)) for n in numbers[batch.valid]]
      yield from self._aligner.posts(real, batch)

  def read_row(self, split: Split, number: int) -> Row:
    """Returns a row with its pictures, and with the objects that are read."""
    inputs = self._built.data.inputs
    text = inputs.texts(split)[number]
    row = read_row(split, number, text)
    if self._built.config.model.regions is None:
      return row
    num_objects = inputs.region_reader(split).num_objects(number)
    scene = self._read_scenes(split).scene(text.img_id)
    return alignment_rows.with_objects(row, scene, num_objects)

  def _read_scenes(self, split: Split) -> Scenes:
    if split.name not in self._scenes:
      # `reader` refuses a run of regions without scenes.
      folder = str(self._built.config.data.scenes)
      self._scenes[split.name] = store.read_split(folder, split.name)
    return self._scenes[split.name]


def read_row(split: Split, row: int, text: RowText) -> Row:
  """Reads a row of a prepared dataset, pictures still encoded.

  Args:
    split: of the dataset.
    row: its number.
    text: what the model reads of it.
  """
  fields = tf.train.Example.FromString(split[row]).features.feature
  numbers = lambda key: tuple(fields[key].int64_list.value)  # noqa: E731
  boxes = {}
  for kind in ("grounded", "detected"):
    edges = np.asarray(fields[f"{kind}_boxes"].float_list.value, np.float64)
    boxes[kind] = [tuple(box) for box in edges.reshape(-1, 4).tolist()]
  return Row(
    text=text,
    picture_size=numbers("picture_size"),
    boxes=boxes,
    squares={
      name: list(fields[name].bytes_list.value)
      for name in ("image", "grounded", "detected")
    },
  )
