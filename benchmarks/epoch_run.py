"""A run of whole epochs on made posts, timed from its start."""

import collections
import dataclasses
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import lengths
from benchmarks.comparison import BUCKETS, TEXT_LEN, VISUAL_TOKENS
from benchmarks.made_split import MadeSplit
from ifa_jax import benchmark
from ifa_jax.data.pipeline import sampling as orders
from ifa_jax.models import build, replace
from ifa_jax.models.config import ModelConfig
from ifa_jax.runtime.data_parallel import make_parallel
from ifa_jax.statistics import metrics
from ifa_jax.training.eval_step import EvalStep
from ifa_jax.training.steps import TrainStep

# Rows of MNRE-2's train, dev and test.
NUM_ROWS = (12_247, 1_624, 1_614)


@dataclasses.dataclass(frozen=True)
class Settings:
  """What is run; flags of the same names.

  Attributes:
    size: of the encoders, one of `benchmark.SIZES`.
    visual_tokens: a key of `VISUAL_TOKENS`.
    dtype: that the model computes in.
    num_rows: of train, dev and test.
    epochs: of training.
    batch_size: rows of an update, over all devices.
    eval_batch_size: rows of a prediction.
    parallel: how steps are spread over devices.
  """

  size: str = "base"
  visual_tokens: str = "110"
  dtype: str = "bfloat16"
  num_rows: tuple[int, int, int] = NUM_ROWS
  epochs: int = 12
  batch_size: int = 256
  eval_batch_size: int = 256
  parallel: str = "pmap"

  @property
  def model(self) -> ModelConfig:
    """The model that is trained."""
    model = benchmark.make_model("objects", self.size, self.dtype)
    return replace(model, **VISUAL_TOKENS[self.visual_tokens])


class Epoch(NamedTuple):
  """What an epoch took, in seconds, and its mean loss."""

  train: float
  dev: float
  loss: float


class EpochRun:
  """Training from fresh parameters, timed."""

  def __init__(self, settings: Settings):
    """Makes the data, and starts the clock when they are on the device."""
    self._settings, model = settings, settings.model
    self._parallel = make_parallel(settings.parallel)
    self._parallel.check(settings.batch_size, "--batch_size")
    self._parallel.check(settings.eval_batch_size, "--eval_batch_size")
    make = lambda n: MadeSplit(  # noqa: E731
      model, n, lengths.MNRE, TEXT_LEN, self._parallel
    )
    self.train, self.dev, self.test = map(make, settings.num_rows)
    self.began = time.perf_counter()
    steps = orders.num_batches(len(self.train), settings.batch_size)
    state, tx = benchmark.fresh_state(
      model, benchmark.OPTIM, settings.epochs * steps
    )
    self._state = self._parallel.copy(state)
    axis, module = self._parallel.axis, build(model)
    step = TrainStep(module, tx, seed=0, axis=axis)
    self._update = self._parallel.compile_train(step)
    self._predict = self._parallel.compile_rows(EvalStep(module))
    # One batch of each length that updates had, and how many there were.
    self._seen: dict[int, Any] = {}
    self._count: collections.Counter[int] = collections.Counter()

  def run_epoch(self, epoch: int) -> Epoch:
    """Trains on all rows once, then predicts dev; epochs count from 0."""
    began = time.perf_counter()
    order = orders.training_order(
      len(self.train), self._settings.batch_size, 0, epoch
    )
    found = []
    batches = self.train.batches(order, BUCKETS)
    for batch, sent in self._parallel.ahead(batches):
      text_len = batch.input_ids.shape[1]
      self._seen.setdefault(text_len, sent)
      self._count[text_len] += 1
      self._state, sums = self._update(self._state, sent)
      # Fetched when all steps are under way.
      found.append((sums["loss"], sums["count"]))
    loss, count = np.sum(jax.device_get(found), axis=0)
    trained = time.perf_counter()
    self.evaluate(self.dev)
    return Epoch(
      trained - began, time.perf_counter() - trained, float(loss / count)
    )

  def evaluate(self, split: MadeSplit) -> dict[str, float]:
    """Predicts a split; returns precision, recall and F1 (of random labels)."""
    size = self._settings.eval_batch_size
    order = orders.evaluation_order(len(split), size)
    found = [
      (batch.label, self._predict(self._state.params, sent))
      for batch, sent in self._parallel.ahead(split.batches(order, BUCKETS))
    ]
    # Fetched when all steps are under way.
    rows = [self._parallel.rows(result) for _, result in found]
    gold = np.concatenate([label for label, _ in found])[: len(split)]
    predicted = np.concatenate(rows).argmax(axis=-1)[: len(split)]
    return metrics.micro_f1(gold, predicted)

  def step_seconds(self, seconds: float) -> float:
    """Returns how long an epoch's updates take on batches that lie there.

    Args:
      seconds: to repeat each length's batch for.
    """
    total = 0.0
    for text_len, batch in self._seen.items():
      rate = benchmark.steps_per_second(lambda: self._step(batch), seconds)  # noqa: B023
      total += self._count[text_len] / self._settings.epochs / rate
    return total

  def _step(self, batch: Any) -> Any:
    self._state, sums = self._update(self._state, batch)
    return sums


def measure(settings: Settings, seconds: float) -> dict[str, Any]:
  """Runs everything once.

  Args:
    settings: what is run.
    seconds: that each length's update is repeated for in the end.

  Returns:
    `total_seconds` from the data's arrival on the device to the test scores,
    starting and compiling included; `epochs`, a dict each; `share_in_steps` of
    the epochs behind the first; sizes, settings and machine.
  """
  run = EpochRun(settings)
  epochs = [run.run_epoch(number) for number in range(settings.epochs)]
  run.evaluate(run.test)
  total = time.perf_counter() - run.began
  # The first one compiles.
  later = [epoch.train for epoch in epochs[1:] or epochs]
  in_steps = run.step_seconds(seconds)
  return {
    "machine": benchmark.describe_machine(),
    "settings": dataclasses.asdict(settings),
    "total_seconds": total,
    "picture_bytes": run.train.num_picture_bytes,
    "epochs": [epoch._asdict() for epoch in epochs],
    "step_seconds_of_an_epoch": in_steps,
    "share_in_steps": in_steps / float(np.median(later)),
  }
