r"""Training throughput of each model on the available devices.

    python -m ifa_jax.benchmark
    python -m ifa_jax.benchmark --rows=mtb,objects --size=base --parallel=jit \
        --batch_size=64 --dtype=bfloat16 --out=benchmark.json

Each row runs the training step of `launch.py` (forward, backward, AdamW,
metrics) on one batch of random posts kept on the device; no data is read. Rows
run in turn, round by round, because the speed of shared machines drifts:
compare rows within a table, not across tables. Sizes: `toy` (3 layers, width
64), `mini` (6 layers, width 384, as MiniLM) and `base` (BERT-base and CLIP
ViT-B/32, the published sizes). PCNN always has its own size, and in `base` so
do ViLBERT's regions.
"""

import dataclasses
import functools
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, TypeVar

import jax
import numpy as np
import optax
from absl import flags

from ifa_jax.batch import Batch
from ifa_jax.cli import app, tables
from ifa_jax.files import json_file
from ifa_jax.models import build, parameters, variants
from ifa_jax.models.base import RegionConfig, System
from ifa_jax.models.config import TextConfig, VisionConfig
from ifa_jax.models.encoders.co_attention import CoAttentionConfig
from ifa_jax.models.encoders.regions import RegionStreamConfig
from ifa_jax.models.layers.layer_layout import LayerLayout
from ifa_jax.runtime.forms import FORMS, make_parallel
from ifa_jax.training import optimizer
from ifa_jax.training.config.run_config import GroupConfig, OptimConfig
from ifa_jax.training.eval_step import EvalStep
from ifa_jax.training.steps import TrainStep, start_state
from ifa_jax.workdir.state import TrainState

ROWS = (*variants.ROWS,)
SIZES: dict[str, dict[str, int]] = {
  "toy": dict(hidden_dim=64, num_layers=3, num_heads=4, mlp_dim=128),
  # MiniLM.
  "mini": dict(hidden_dim=384, num_layers=6, num_heads=12, mlp_dim=1536),
  "base": {},
}
DTYPES = ("float32", "bfloat16")
OPTIM = OptimConfig(groups={"all": GroupConfig(".*", 1e-5)})
# Rows of PCNN's table; MNRE-2's training texts have 25 780 words in lower case.
_NUM_WORDS = 30_000
# Width of an object's features, as the authors of MEGA and ViLBERT extract
# them.
_FEATURE_DIM = {"mega": 4096, "vilbert": 2048}
_COLUMNS = ("row", "parameters", "compile, s", "examples/s")
_COLUMNS += ("lowest - highest", "relative to first")

T = TypeVar("T")


def make_model(row: str, size: str, dtype: str) -> System:
  """Returns the model of a row in one of `SIZES`."""
  sizes: dict[str, Any] = SIZES[size]
  shared: dict[str, Any] = {
    "text": TextConfig(**sizes),
    "vision": VisionConfig(**sizes),
    "vocab_size": _NUM_WORDS,
    "dtype": dtype,
  }
  if row == "ifaformer_caption":
    shared["caption"] = shared["text"]
  if row == "vilbert":
    heads: dict[str, Any] = {k: v for k, v in sizes.items() if k != "mlp_dim"}
    shared["vision"] = RegionStreamConfig(**sizes)
    shared["connection"] = CoAttentionConfig(**heads)
  model = variants.make(row, **shared)
  if model.regions is None or model.regions.feature_dim is not None:
    return model
  regions = RegionConfig(model.regions.num_regions, _FEATURE_DIM[model.system])
  return dataclasses.replace(model, regions=regions)


def random_batch(model: System, rows: int, text_len: int) -> Batch:
  """Returns numpy arrays for every field the model reads, nothing masked."""
  rng = np.random.default_rng(0)
  # Pixels are 0 to 255; ids are below the size of every embedding table.
  limits = {np.dtype(np.uint8): 256, np.dtype(np.int32): 1000}

  def fill(leaf):
    if leaf.dtype == bool:
      return np.asarray(leaf)
    if leaf.dtype in limits:
      return rng.integers(0, limits[leaf.dtype], leaf.shape, leaf.dtype)
    return rng.normal(size=leaf.shape).astype(leaf.dtype)

  batch = jax.tree.map(fill, parameters.blank_batch(model, rows, text_len))
  # Positions and labels have smaller ranges than ids.
  positions = ["head_start", "tail_start"]
  if model.reads_words:
    positions += ["head_word", "tail_word"]
  limit_of = dict.fromkeys(positions, text_len)
  limit_of["label"] = model.num_relations
  return batch.replace(
    token_type_ids=np.zeros_like(batch.input_ids),
    **{
      name: rng.integers(0, limit, rows, np.int32)
      for name, limit in limit_of.items()
    },
  )


def fresh_state(
  model: System, settings: OptimConfig, num_steps: int
) -> tuple[TrainState, optax.GradientTransformation]:
  """Returns a random state in the layout used for training, and its optimizer.

  Args:
    model: a config.
    settings: of the optimizer.
    num_steps: updates until the learning rate reaches 0.
  """
  shapes = parameters.abstract_params(model)
  layout = optimizer.choose_layout(model.scans_layers, settings, shapes)
  tx = optimizer.make_optimizer(settings, shapes, num_steps, layout)

  def start(key):
    params = parameters.init_params(model, key)
    return start_state(layout.convert(params), tx)

  return jax.jit(start)(jax.random.key(0)), tx


class Runner:
  """A compiled update, or prediction, of one batch kept on the device.

  Attributes:
    num_params: of the model.
    compile_seconds: time to trace and compile the step.
  """

  def __init__(
    self, model: System, batch: Batch, form: str, train: bool = True
  ):
    """Compiles the step and runs it once.

    Args:
      model: a config.
      batch: numpy arrays.
      form: of data parallelism, a key of `FORMS`.
      train: whether to update the model, or only to predict.
    """
    parallel, module = make_parallel(form), build(model)
    self.num_params = parameters.count_params(model)
    self._train, self._rows = train, len(batch.label)
    if train:
      state, tx = fresh_state(model, OPTIM, num_steps=10_000)
      train_step = TrainStep(module, tx, seed=0, axis=parallel.axis)
      step: Any = parallel.compile_train(train_step)
    else:
      stack = LayerLayout(model.scans_layers).convert
      init = jax.jit(lambda key: stack(parameters.init_params(model, key)))
      state = init(jax.random.key(0))
      step = parallel.compile_rows(EvalStep(module))
    self._state = parallel.copy(state)
    self._batch = jax.device_put(parallel.split(batch))
    began = time.perf_counter()
    self._step = step.lower(self._state, self._batch).compile()
    self.compile_seconds = time.perf_counter() - began
    self.run(0)

  def run(self, seconds: float) -> float:
    """Runs steps for at least `seconds`; returns examples per second."""
    return self._rows * steps_per_second(self._start, seconds)

  def _start(self) -> Any:
    result = self._step(self._state, self._batch)
    if self._train:
      self._state, result = result
    return result


def steps_per_second(start: Callable[[], Any], seconds: float) -> float:
  """Repeats a step for at least `seconds`, at least once.

  Args:
    start: dispatches the step; returns the arrays it computes.
    seconds: no further step is started after this time.
  """
  began, count, waiting = time.perf_counter(), 0, None
  while not count or time.perf_counter() - began < seconds:
    started = start()
    # One step is always queued, so that the device does not wait for the host.
    jax.block_until_ready(waiting)
    waiting, count = started, count + 1
  jax.block_until_ready(waiting)
  return count / (time.perf_counter() - began)


def take_turns(
  runs: Mapping[str, Callable[[], T]], rounds: int
) -> dict[str, list[T]]:
  """Calls each function once per round; returns the results by name."""
  results: dict[str, list[T]] = {name: [] for name in runs}
  for _ in range(rounds):
    for name, run in runs.items():
      results[name].append(run())
  return results


def describe_machine() -> dict[str, Any]:
  """Returns the devices and versions that the results depend on."""
  packages = ("jax", "jaxlib", "flax", "optax", "numpy")
  devices = jax.devices()
  return {
    "backend": jax.default_backend(),
    "device": devices[0].device_kind,
    "num_devices": len(devices),
    "num_cores": os.cpu_count(),
    "python": platform.python_version(),
    "versions": {name: metadata.version(name) for name in packages},
  }


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_list("rows", list(ROWS), "Models to measure.")
  flags.DEFINE_enum("size", "mini", [*SIZES], "Size of the encoders.")
  flags.DEFINE_enum("parallel", "pmap", [*FORMS], "Form of data parallelism.")
  flags.DEFINE_enum("dtype", "float32", DTYPES, "Dtype of the computation.")
  flags.DEFINE_string("out", None, "JSON file to write.")
  for name, default, meaning in (
    ("batch_size", 32, "Rows per update, over all devices."),
    ("text_len", 48, "Tokens per text; 99 % of MNRE's have at most 46."),
    ("rounds", 3, "Measurements of each row."),
  ):
    flags.DEFINE_integer(name, default, meaning, lower_bound=1)
  minimum = "Minimum duration of each measurement, in seconds."
  flags.DEFINE_float("seconds", 5.0, minimum, lower_bound=0.0)


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  unknown = [row for row in values.rows if row not in ROWS]
  if unknown or not values.rows:
    raise ValueError(
      f"--rows: expected some of {', '.join(ROWS)}, got"
      f" {', '.join(unknown) or 'none'}"
    )
  make_parallel(values.parallel).check(values.batch_size, "--batch_size")
  runners = {}
  for row in dict.fromkeys(values.rows):
    model = make_model(row, values.size, values.dtype)
    batch = random_batch(model, values.batch_size, values.text_len)
    runners[row] = Runner(model, batch, values.parallel)
  runs = {
    row: functools.partial(runner.run, values.seconds)
    for row, runner in runners.items()
  }
  rates = take_turns(runs, values.rounds)
  machine = describe_machine()
  title = (
    f"Training, size {values.size}, {values.dtype}, {values.batch_size} rows of"
    f" {values.text_len} tokens\n{values.parallel} on {machine['num_devices']}"
    f" x {machine['device']} ({machine['backend']})"
  )
  first = statistics.median(next(iter(rates.values())))
  cells = [
    [
      row,
      f"{runners[row].num_params:,}",
      f"{runners[row].compile_seconds:.1f}",
      f"{statistics.median(rate):.1f}",
      f"{min(rate):.1f} - {max(rate):.1f}",
      f"{statistics.median(rate) / first:.2f}",
    ]
    for row, rate in rates.items()
  ]
  tables.print_table(tables.make_table(title, _COLUMNS, cells))
  if values.out:
    settings = ("size", "dtype", "parallel", "batch_size", "text_len")
    found = {
      "machine": machine,
      "settings": {name: values[name].value for name in settings},
      "examples_per_second": rates,
    }
    json_file.write(values.out, found)


if __name__ == "__main__":
  app.run_module("ifa_jax.benchmark")
