r"""Time of whole epochs of MNRE's size, from the start to the test scores.

    JAX_COMPILATION_CACHE_DIR=cache python -m benchmarks.epochs
    python -m benchmarks.epochs --size=toy --num_rows=400,50,50 --epochs=2

Trains on as many random posts as MNRE has, with texts of its lengths and
pictures as uint8 on the device, by the steps of `launch.py`: dev after each
epoch, test at the end. Needs no TensorFlow and no dataset, and writes no
checkpoint. Run it twice: the second start finds the compiled code of the first.
"In steps" is the share of an epoch that its updates take when one batch is
repeated and nothing else is done.
"""

import collections
import dataclasses
import functools
import operator
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from benchmarks import harness, random_posts
from ifa_jax import benchmark
from ifa_jax.batch import Batch, trim_text
from ifa_jax.cli.settings_flags import setting
from ifa_jax.data.pipeline import sampling
from ifa_jax.data.pipeline.device_cache import DeviceRows
from ifa_jax.models import build
from ifa_jax.models.config import ModelConfig
from ifa_jax.runtime.data_parallel import Parallel
from ifa_jax.runtime.forms import FORMS, make_parallel
from ifa_jax.statistics import metrics
from ifa_jax.training.eval_step import EvalStep
from ifa_jax.training.steps import TrainStep


@dataclasses.dataclass(frozen=True)
class Settings:
  """Flags of the command."""

  size: str = setting("Size of encoders.", "base", choices=[*benchmark.SIZES])
  dtype: str = setting(
    "Dtype of the computation.", "bfloat16", choices=benchmark.DTYPES
  )
  parallel: str = setting("Form of data parallelism.", "pmap", choices=[*FORMS])
  num_rows: tuple[int, ...] = setting(
    "Rows of train, dev and test (MNRE-2's).", (12_247, 1_624, 1_614), least=1
  )
  epochs: int = setting("Epochs of training.", 12, least=1)
  batch_size: int = setting("Rows per step, over all devices.", 256, least=1)
  seconds: float = setting(
    "Time to repeat updates for at the end.", 2.0, least=0
  )
  out: str | None = setting("JSON file to write.", None)


class Split:
  """Random posts; all pictures are present, and kept on the devices."""

  def __init__(self, model: ModelConfig, num_rows: int, parallel: Parallel):
    """Draws all posts and sends their pictures to the devices."""
    lengths = random_posts.draw_lengths(num_rows, random_posts.TEXT_LEN)
    posts = random_posts.make_batch(model, lengths, random_posts.TEXT_LEN)
    pixels = {name: getattr(posts, name) for name, *_ in model.picture_slots}
    self._posts = posts.replace(**dict.fromkeys(pixels))
    self._pictures = DeviceRows(pixels, parallel)
    self.num_picture_bytes = sum(x.nbytes for x in pixels.values())
    self.num_rows = num_rows

  def batches(self, order: np.ndarray) -> Iterator[Batch]:
    """Yields batches of int64[steps, B] row numbers, pixels on the devices."""
    for rows in order:
      valid = rows != sampling.FILLER
      rows = np.where(valid, rows, 0)
      posts = jax.tree.map(operator.itemgetter(rows), self._posts)
      batch = trim_text(posts.replace(valid=valid), random_posts.BUCKETS)
      yield batch.replace(**self._pictures.take(rows))


class Training:
  """Training from random parameters, on random posts."""

  def __init__(self, settings: Settings):
    """Makes the posts, starts the clock (`began`), and makes the state."""
    self._settings = settings
    model = random_posts.make_model(settings.size, settings.dtype, "110")
    self._parallel = parallel = make_parallel(settings.parallel)
    parallel.check(settings.batch_size, "--batch_size")
    if len(settings.num_rows) != 3:
      raise ValueError(
        f"--num_rows: expected three numbers, got {settings.num_rows}"
      )
    self.train, self.dev, self.test = (
      Split(model, num_rows, parallel) for num_rows in settings.num_rows
    )
    self.began = time.perf_counter()
    steps = sampling.num_batches(self.train.num_rows, settings.batch_size)
    num_steps = settings.epochs * steps
    state, tx = benchmark.fresh_state(model, benchmark.OPTIM, num_steps)
    self._state = parallel.copy(state)
    module = build(model)
    step = TrainStep(module, tx, seed=0, axis=parallel.axis)
    self._update = parallel.compile_train(step)
    self._predict = parallel.compile_rows(EvalStep(module))
    # For `step_seconds`: a batch of each text length, and their frequencies.
    self._batch_of: dict[int, Any] = {}
    self._count_of: collections.Counter[int] = collections.Counter()

  def run_epoch(self, epoch: int) -> dict[str, float]:
    """Trains on all rows once and predicts dev.

    Returns:
      Seconds of `train` and `dev`, and the mean `loss`.
    """
    began = time.perf_counter()
    order = sampling.training_order(
      self.train.num_rows, self._settings.batch_size, 0, epoch
    )
    sums = []
    for batch, sent in self._parallel.ahead(self.train.batches(order)):
      text_len = batch.input_ids.shape[1]
      self._batch_of.setdefault(text_len, sent)
      self._count_of[text_len] += 1
      # Not fetched here, so that the device does not wait for the host.
      sums.append(self._run_step(sent))
    pairs = jax.device_get([(s["loss"], s["count"]) for s in sums])
    loss, count = np.sum(pairs, axis=0)
    trained = time.perf_counter()
    self.evaluate(self.dev)
    return {
      "train": trained - began,
      "dev": time.perf_counter() - trained,
      "loss": float(loss / count),
    }

  def evaluate(self, split: Split) -> dict[str, float]:
    """Predicts a split; returns precision, recall and F1 (of random labels)."""
    order = sampling.evaluation_order(split.num_rows, self._settings.batch_size)
    gold, results = zip(
      *(
        (batch.label, self._predict(self._state.params, sent))
        for batch, sent in self._parallel.ahead(split.batches(order))
      ),
      strict=True,
    )
    predicted = np.concatenate([*map(self._parallel.rows, results)]).argmax(-1)
    rows = slice(split.num_rows)
    return metrics.micro_f1(np.concatenate(gold)[rows], predicted[rows])

  def step_seconds(self, seconds: float) -> float:
    """Returns the time of an epoch's updates on batches already on the device.

    The batch of each text length is repeated for some `seconds`.
    """
    total = 0.0
    for text_len, batch in self._batch_of.items():
      step = functools.partial(self._run_step, batch)
      rate = benchmark.steps_per_second(step, seconds)
      total += self._count_of[text_len] / self._settings.epochs / rate
    return total

  def _run_step(self, batch: Any) -> Any:
    self._state, sums = self._update(self._state, batch)
    return sums


def measure(settings: Settings) -> dict[str, Any]:
  """Trains once.

  Returns:
    `total_seconds` from the arrival of the posts on the device to the test
    scores, with tracing and compiling; `epochs`; `share_in_steps` of the epochs
    after the first; sizes and settings.
  """
  training = Training(settings)
  epochs = [training.run_epoch(number) for number in range(settings.epochs)]
  training.evaluate(training.test)
  total = time.perf_counter() - training.began
  # The first epoch compiles.
  later = [epoch["train"] for epoch in epochs[1:] or epochs]
  in_steps = training.step_seconds(settings.seconds)
  return {
    "settings": dataclasses.asdict(settings),
    "total_seconds": total,
    "picture_bytes": training.train.num_picture_bytes,
    "epochs": epochs,
    "step_seconds_of_an_epoch": in_steps,
    "share_in_steps": in_steps / float(np.median(later)),
  }


def main(settings: Settings) -> None:
  """Runs the command."""
  found = measure(settings)
  title = (
    f"{settings.epochs} epochs, size {settings.size}, {settings.dtype},"
    f" {settings.batch_size} rows per update: {found['total_seconds']:.1f} s in"
    f" total, {100 * found['share_in_steps']:.0f} % of an epoch in steps"
  )
  rows = [
    [str(i), *(f"{epoch[key]:.2f}" for key in ("train", "dev", "loss"))]
    for i, epoch in enumerate(found["epochs"], start=1)
  ]
  columns = ("epoch", "train, s", "dev, s", "loss")
  harness.report(title, columns, rows, found, settings.out)


if __name__ == "__main__":
  harness.run(main, Settings)
