r"""Epochs through the real pipeline, against their updates alone.

    python -m benchmarks.pipeline_epochs --config=configs/quickstart.py
    python -m benchmarks.pipeline_epochs --config=configs/mnre.py \
        --config.data.data_dir=data/mnre --rounds=5 --out=epochs.json

An epoch of a prepared dataset's training rows: read from shards, or from where
rows are kept once they were read (`data.cache`), and trained on, as `launch.py`
does between two evaluations. In turn with it, the same updates on batches that
lie on the device. *In steps* is the second time over the first: the rest is
waiting for rows. The first epoch, which decodes and compiles, is told apart.
"""

import dataclasses
import statistics
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from absl import flags
from ml_collections import config_flags

from ifa_jax import benchmark
from ifa_jax.cli import app, tables
from ifa_jax.data.pipeline import sampling as orders
from ifa_jax.training import experiment
from ifa_jax.training.config.resolve import resolve
from ifa_jax.training.config.run_config import RunConfig
from ifa_jax.training.steps import TrainStep


@dataclasses.dataclass(frozen=True)
class Found:
  """What epochs took, in seconds.

  Attributes:
    first: reading, decoding and compiling.
    epochs: later ones.
    steps: their updates alone, as many.
  """

  first: float
  epochs: list[float]
  steps: list[float]

  @property
  def in_steps(self) -> list[float]:
    """The updates' share of each epoch."""
    return np.divide(self.steps, self.epochs).tolist()


class PipelineEpochs:
  """An experiment's updates, with rows that are read and with kept batches."""

  def __init__(self, built: experiment.Experiment):
    """Starts from fresh parameters; compiles nothing yet."""
    self._built, self._parallel = built, built.parallel
    state, tx = benchmark.fresh_state(
      built.config.model, built.config.optim, built.epochs.schedule_steps
    )
    self._state = self._parallel.copy(state)
    step = TrainStep(built.model, tx, seed=0, axis=self._parallel.axis)
    self._update = self._parallel.compile_train(step)
    self._split = built.data.split("train")
    # Of each length that a batch is padded to: one, and how many there are.
    self._kept: dict[int, Any] = {}
    self._lengths: list[int] = []

  def read(self, epoch: int) -> float:
    """Trains for an epoch on rows that are read; returns seconds."""
    size = self._built.config.train.batch_size
    order = orders.training_order(len(self._split), size, 0, epoch)
    self._lengths, sums = [], None
    began = time.perf_counter()
    batches = self._built.data.batches(self._split, order)
    for batch, sent in self._parallel.ahead(batches):
      text_len = batch.input_ids.shape[1]
      self._kept.setdefault(text_len, sent)
      self._lengths.append(text_len)
      self._state, sums = self._update(self._state, sent)
    jax.block_until_ready(sums)
    return time.perf_counter() - began

  def repeat(self) -> float:
    """Makes the last epoch's updates on kept batches; returns seconds."""
    began, sums = time.perf_counter(), None
    for text_len in self._lengths:
      self._state, sums = self._update(self._state, self._kept[text_len])
    jax.block_until_ready(sums)
    return time.perf_counter() - began


def measure(built: experiment.Experiment, rounds: int) -> Found:
  """Runs the first epoch, then one of each kind in every round."""
  epochs = PipelineEpochs(built)
  first = epochs.read(0)
  pairs = [(epochs.read(i), epochs.repeat()) for i in range(1, rounds + 1)]
  read, repeated = map(list, zip(*pairs, strict=True))
  return Found(first, read, repeated)


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  config = RunConfig.from_dict(values.config.to_dict())
  built = experiment.build(resolve(config))
  found = measure(built, values.rounds)
  num_rows, shares = built.data.num_rows("train"), found.in_steps
  machine = benchmark.describe_machine()
  cells = [
    [name, f"{num_rows / statistics.median(seconds):.1f}"]
    for name, seconds in (
      ("first epoch", [found.first]),
      ("later epochs", found.epochs),
      ("updates alone", found.steps),
    )
  ]
  title = (
    f"{num_rows} rows an epoch, {values.rounds} rounds on"
    f" {machine['device']}\nin steps: {100 * statistics.median(shares):.0f} %"
    f" ({100 * min(shares):.0f} - {100 * max(shares):.0f})"
  )
  tables.print_table(tables.make_table(title, ("", "examples/s"), cells))
  if values.out:
    figures = dataclasses.asdict(found) | {"share_in_steps": shares}
    figures |= {"machine": machine, "num_rows": num_rows}
    tables.write_json(values.out, figures)


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  config_flags.DEFINE_config_file("config", None, "A run's: FILE[:VARIANT].")
  flags.DEFINE_integer("rounds", 3, "Later epochs.", lower_bound=1)
  flags.DEFINE_string("out", None, "JSON file to write.")
  flags.mark_flag_as_required("config")


if __name__ == "__main__":
  _define_flags()
  app.run(main)
