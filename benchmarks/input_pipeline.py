r"""Rows a second of the input pipeline alone, first epoch and later ones.

    python -m benchmarks.input_pipeline
    python -m benchmarks.input_pipeline --data_dir=prepared --out=pipeline.json

Batches of training rows with all seven pictures, as `launch.py` has them under
each `data.cache`; no model runs. The parts are what one row costs one thread.
Without --data_dir, posts with generated photos of 800 x 600 are prepared first.
"""

import contextlib
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import tensorflow as tf
from absl import flags, logging

from benchmarks import photo_tree
from ifa_jax import benchmark
from ifa_jax.batch import Geometry
from ifa_jax.cli import app, tables
from ifa_jax.data import schema
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.cache import PLACES, RowCache
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.data.pipeline.host_cache import HostRows
from ifa_jax.preparation.mnre.plan import Settings
from ifa_jax.preparation.mnre.prepare import prepare
from ifa_jax.runtime import data_parallel

_SPLIT = "train"
_PLACES = [place for place in PLACES if place != "auto"]
_FILES = {
  name: tf.io.FixedLenSequenceFeature([], tf.string, True)
  for name in schema.PICTURES
}
# Of which the parts are measured.
_NUM_SAMPLED = 200


def geometry_of(prepared: schema.Prepared) -> Geometry:
  """Returns the shapes of all that a dataset's records have."""
  sizes = schema.crop_sizes(prepared.metadata["patch_size"])
  num_crops = prepared.metadata["num_crops"]
  return Geometry(
    text_len=prepared.metadata["text_len"],
    slots=(
      ("image", 1, prepared.metadata["image_size"]),
      ("grounded", num_crops, sizes["grounded"]),
      ("detected", num_crops, sizes["detected"]),
    ),
  )


class Rate(NamedTuple):
  """Of one epoch.

  Attributes:
    rows_per_second: by the clock, beside whatever else runs.
    cpu_seconds: for one row, over all cores.
  """

  rows_per_second: float
  cpu_seconds: float


class Epochs:
  """Runs epochs over a split whose rows are kept in one place."""

  def __init__(self, prepared: schema.Prepared, place: str, batch_size: int):
    """Reads nothing yet; the rows of the split are kept, and no others."""
    self._split = Split(prepared.folder, _SPLIT)
    self._geometry = geometry_of(prepared)
    devices = data_parallel.make_parallel("jit")
    devices.check(batch_size, "--batch_sizes")
    num_rows = {_SPLIT: len(self._split)}
    cache = RowCache(place, num_rows, self._geometry, devices)
    self._stores = cache.stores(_SPLIT, on_host=False)
    self._batch_size = batch_size
    self._epoch = 0

  def run(self) -> Rate:
    """Makes all batches of the next epoch."""
    rows = sampling.training_order(
      len(self._split), self._batch_size, 0, self._epoch
    )
    self._epoch += 1
    began, computed = time.perf_counter(), time.process_time()
    batches = self._split.batches(rows, self._geometry, stores=self._stores)
    for batch in batches:
      jax.block_until_ready(batch.detected)
    num_rows = len(self._split)
    return Rate(
      num_rows / (time.perf_counter() - began),
      (time.process_time() - computed) / num_rows,
    )


def measure(
  prepared: schema.Prepared,
  places: Sequence[str],
  batch_sizes: Sequence[int],
  num_later: int,
) -> list[dict[str, Any]]:
  """Returns the rates of the first epoch and of later ones.

  One place and batch size after the other: two caches may not fit.
  """
  found = []
  for place, batch_size in itertools.product(places, batch_sizes):
    epochs = Epochs(prepared, place, batch_size)
    first, *later = [epochs.run()._asdict() for _ in range(1 + num_later)]
    setting = {"cache": place, "batch_size": batch_size}
    found.append(setting | {"first": first, "later": later})
  return found


def measure_parts(prepared: schema.Prepared) -> dict[str, float]:
  """Returns seconds that one thread needs for the parts of one row."""
  split, geometry = Split(prepared.folder, _SPLIT), geometry_of(prepared)
  rows = np.arange(min(_NUM_SAMPLED, len(split)))
  serialized = [split[row] for row in rows]
  files = [tf.io.parse_single_example(record, _FILES) for record in serialized]
  pixels = {
    name: np.ones(shape, dtype)
    for name, (shape, dtype) in geometry.picture_fields.items()
  }
  kept = HostRows(len(rows), geometry.picture_fields)
  kept.write(rows, [pixels] * len(rows))
  parts = {
    "read and check a record": lambda i: split[i],
    "find its pictures": lambda i: tf.io.parse_single_example(
      serialized[i], _FILES
    ),
    "decode them": lambda i: [
      tf.io.decode_png(file, channels=3)
      for kind in files[i].values()
      for file in kind
    ],
    "keep their pixels": lambda i: kept.write(rows[i : i + 1], [pixels]),
    "copy them into a batch": lambda i: kept.take(
      rows[i : i + 1], rows[:0], []
    ),
  }
  return {name: _time(part, rows) for name, part in parts.items()}


def _time(part: Callable[[int], Any], rows: np.ndarray) -> float:
  """Returns the mean seconds of a part over some rows, after a first time."""
  part(0)
  began = time.perf_counter()
  for row in rows:
    part(int(row))
  return (time.perf_counter() - began) / len(rows)


def _generate(folder: str, num_rows: int, num_pictures: int) -> schema.Prepared:
  """Prepares generated posts."""
  tree = photo_tree.make(
    os.path.join(folder, "raw"),
    None,
    photo_tree.share_out(num_rows),
    num_pictures,
  )
  prepared, _ = prepare(
    Settings(
      raw_dir=tree.raw_dir,
      data_dir=os.path.join(folder, "data"),
      protocol="clean",
      boxes=tree.boxes,
      tokenizer=tree.tokenizer,
    )
  )
  return prepared


def _cells(rates: Sequence[dict[str, float]]) -> list[str]:
  """Returns the medians of some epochs' rates."""
  median = lambda key: statistics.median(rate[key] for rate in rates)  # noqa: E731
  cpu = 1e3 * median("cpu_seconds")
  return [f"{median('rows_per_second'):.0f}", f"{cpu:.2f}"]


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_string("data_dir", None, "Of data_prep.mnre; generated if not.")
  flags.DEFINE_list("places", _PLACES, "Of the cache.")
  flags.DEFINE_list("batch_sizes", ["32", "256"], "Rows of a batch.")
  flags.DEFINE_string("out", None, "JSON file to write.")
  for name, default, meaning in (
    ("rows", 1000, "To generate."),
    ("num_pictures", 600, "Pictures that they share."),
    ("later", 3, "Epochs after the first."),
  ):
    flags.DEFINE_integer(name, default, meaning, lower_bound=1)


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  # TFDS warns of every dataset that it does not publish itself.
  logging.set_verbosity(logging.ERROR)
  with contextlib.ExitStack() as stack:
    if values.data_dir:
      prepared = schema.read_metadata(values.data_dir)
    else:
      folder = stack.enter_context(tempfile.TemporaryDirectory())
      prepared = _generate(folder, values.rows, values.num_pictures)
    batch_sizes = [int(size) for size in values.batch_sizes]
    epochs = measure(prepared, values.places, batch_sizes, values.later)
    parts = measure_parts(prepared)
  num_rows = prepared.num_rows[_SPLIT]
  found = {"num_rows": num_rows, "epochs": epochs, "seconds_of_parts": parts}
  write(found, values.out)


def write(found: dict[str, Any], out: str | None) -> None:
  """Prints both tables and writes the file, if one is asked for."""
  _show(found)
  if out:
    machine = benchmark.describe_machine() | {"num_cores": os.cpu_count()}
    tables.write_json(out, {"machine": machine} | found)


def _show(found: dict[str, Any]) -> None:
  """Prints both tables."""
  cells = [
    [
      x["cache"],
      str(x["batch_size"]),
      *_cells([x["first"]]),
      *_cells(x["later"]),
    ]
    for x in found["epochs"]
  ]
  title = (
    f"{found['num_rows']} rows with seven pictures on {os.cpu_count()} cores"
  )
  columns = ("cache", "batch", "first epoch, rows/s", "CPU ms a row")
  columns += ("later ones, rows/s", "CPU ms a row")
  tables.print_table(tables.make_table(title, columns, cells))
  parts = found["seconds_of_parts"]
  cells = [
    [name, f"{1e3 * seconds:.2f}", f"{100 * seconds / sum(parts.values()):.0f}"]
    for name, seconds in parts.items()
  ]
  columns = ("part, one row on one thread", "ms", "%")
  tables.print_table(tables.make_table("", columns, cells))


if __name__ == "__main__":
  _define_flags()
  app.run(main)
