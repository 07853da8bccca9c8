r"""Throughput of the input pipeline, in the first epoch and in later ones.

    python -m benchmarks.input_pipeline --data_dir=prepared --out=pipeline.json

Reads batches of training rows with all seven pictures, as `launch.py` does with
each `data.cache`; no model runs. The second table has the time of each part of
one row on one thread. The dataset is one of `data_prep.mnre`.
"""

import dataclasses
import functools
import statistics
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import tensorflow as tf
from absl import logging

from benchmarks import harness
from ifa_jax.batch import Geometry
from ifa_jax.cli import tables
from ifa_jax.cli.settings_flags import setting
from ifa_jax.data import schema
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.cache import PLACES, RowCache
from ifa_jax.data.pipeline.dataset import Split
from ifa_jax.data.pipeline.host_cache import HostRows
from ifa_jax.models.config import ModelConfig, VisionConfig
from ifa_jax.runtime import forms

_SPLIT = "train"
_PLACES = tuple(place for place in PLACES if place != "auto")
# Rows for which the parts are timed.
_NUM_TIMED = 200


@dataclasses.dataclass(frozen=True)
class Settings:
  """Flags of the command."""

  data_dir: str = setting("Prepared dataset.")
  places: tuple[str, ...] = setting(
    "Where to cache rows.", _PLACES, choices=_PLACES
  )
  batch_sizes: tuple[int, ...] = setting("Rows per batch.", (32, 256), least=1)
  later: int = setting("Epochs after the first.", 3, least=1)
  out: str | None = setting("JSON file to write.", None)


def geometry_of(prepared: schema.Prepared) -> Geometry:
  """Returns the shapes of everything in a dataset's records."""
  sizes = ("image_size", "patch_size", "num_crops")
  vision = VisionConfig(**{name: prepared.metadata[name] for name in sizes})
  slots = ModelConfig(vision=vision).picture_slots
  return Geometry(prepared.metadata["text_len"], slots=slots)


def measure_epochs(
  prepared: schema.Prepared, place: str, batch_size: int, later: int
) -> dict[str, Any]:
  """Reads the training rows once and `later` times more, cached in one place.

  Returns:
    `first`, and a list `later`, of `rows_per_second` by the wall clock and
    `cpu_seconds` per row over all threads.
  """
  split, geometry = Split(prepared.folder, _SPLIT), geometry_of(prepared)
  num_rows = len(split)
  parallel = forms.make_parallel("jit")
  parallel.check(batch_size, "--batch_sizes")
  cache = RowCache(place, {_SPLIT: num_rows}, geometry, parallel)
  stores = cache.stores(_SPLIT, on_host=False)
  rates = []
  for epoch in range(1 + later):
    order = sampling.training_order(num_rows, batch_size, 0, epoch)
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in split.batches(order, geometry, stores=stores):
      jax.block_until_ready(batch.detected)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rate = {"rows_per_second": num_rows / wall, "cpu_seconds": cpu / num_rows}
    rates.append(rate)
  found = {"cache": place, "batch_size": batch_size}
  return found | {"first": rates[0], "later": rates[1:]}


def measure_parts(prepared: schema.Prepared) -> dict[str, float]:
  """Returns part -> mean seconds per row on one thread."""
  split, geometry = Split(prepared.folder, _SPLIT), geometry_of(prepared)
  rows = np.arange(min(_NUM_TIMED, len(split)))
  feature = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
  parse = functools.partial(
    tf.io.parse_single_example,
    features=dict.fromkeys(schema.PICTURES, feature),
  )
  records = [split[row] for row in rows]
  files = [parse(record) for record in records]
  pixels = {
    name: np.ones(shape, dtype)
    for name, (shape, dtype) in geometry.picture_fields.items()
  }
  store = HostRows(len(rows), geometry.picture_fields)
  store.write(rows, [pixels] * len(rows))

  def decode(row):
    for pngs in files[row].values():
      for png in pngs:
        tf.io.decode_png(png, channels=3)

  parts = {
    "read and check the record": lambda i: split[i],
    "find its pictures": lambda i: parse(records[i]),
    "decode them": decode,
    "cache the pixels": lambda i: store.write(rows[[i]], [pixels]),
    "copy them into a batch": lambda i: store.take(rows[[i]], rows[:0], []),
  }
  seconds = {}
  for name, part in parts.items():
    # The first call may initialise something.
    part(0)
    began = time.perf_counter()
    for row in rows.tolist():
      part(row)
    seconds[name] = (time.perf_counter() - began) / len(rows)
  return seconds


def _cells(rates: Sequence[dict[str, float]]) -> list[str]:
  speed, cpu = (
    statistics.median(rate[key] for rate in rates)
    for key in ("rows_per_second", "cpu_seconds")
  )
  return [f"{speed:.0f}", f"{1e3 * cpu:.2f}"]


def main(settings: Settings) -> None:
  """Runs the command."""
  # TFDS warns about every dataset that it does not publish itself.
  logging.set_verbosity(logging.ERROR)
  prepared = schema.read_metadata(settings.data_dir)
  # One after the other, because two caches may not fit into memory.
  epochs = [
    measure_epochs(prepared, place, batch_size, settings.later)
    for place in settings.places
    for batch_size in settings.batch_sizes
  ]
  parts = measure_parts(prepared)
  total = sum(parts.values())
  rows = [
    [name, f"{1e3 * seconds:.2f}", f"{100 * seconds / total:.0f}"]
    for name, seconds in parts.items()
  ]
  columns = ("part, one row on one thread", "ms", "%")
  tables.print_table(tables.make_table("", columns, rows))
  rows = [
    [
      x["cache"],
      f"{x['batch_size']}",
      *_cells([x["first"]]),
      *_cells(x["later"]),
    ]
    for x in epochs
  ]
  columns = ("cache", "batch", "first epoch, rows/s", "CPU ms per row")
  columns += ("later epochs, rows/s", "CPU ms per row")
  num_rows = prepared.num_rows[_SPLIT]
  title = f"{num_rows} rows with seven pictures"
  found = {"num_rows": num_rows, "epochs": epochs, "seconds_of_parts": parts}
  harness.report(title, columns, rows, found, settings.out)


if __name__ == "__main__":
  harness.run(main, Settings)
