r"""Training throughput of the systems, on whatever JAX finds to run on.

    python -m ifa_jax.benchmark
    python -m ifa_jax.benchmark --rows=mtb,objects --size=base --parallel=jit \
        --batch_size=64 --dtype=bfloat16 --out=benchmark.json

Each row is the update that `launch.py` runs - forward, backward, AdamW, metrics
- on one batch of random posts that lies on the device: no data is read, so what
a slow disk costs is not in it. Rows take turns, round by round, since shared
machines drift; compare rows of one table, not of two. Sizes: `toy` (3 layers,
width 64), `mini` (6 layers, width 384, as MiniLM) and `base` (BERT-base and
CLIP ViT-B/32, the published sizes). PCNN always has its own, and ViLBERT's
regions in `base`.
"""

import dataclasses
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import jax
import numpy as np
import optax
from absl import flags

from ifa_jax.batch import Batch
from ifa_jax.cli import app, tables
from ifa_jax.models import build, parameters, variants
from ifa_jax.models.base import RegionConfig, System
from ifa_jax.models.config import TextConfig, VisionConfig
from ifa_jax.models.encoders.co_attention import CoAttentionConfig
from ifa_jax.models.encoders.regions import RegionStreamConfig
from ifa_jax.runtime.data_parallel import FORMS, make_parallel
from ifa_jax.training import optimizer
from ifa_jax.training.config.run_config import GroupConfig, OptimConfig
from ifa_jax.training.steps import TrainStep, start_state
from ifa_jax.workdir.state import TrainState

ROWS = (*variants.IFAFORMERS, *variants.BASELINES)
SIZES: dict[str, dict[str, int]] = {
  "toy": {"hidden_dim": 64, "num_layers": 3, "num_heads": 4, "mlp_dim": 128},
  "mini": {
    "hidden_dim": 384,
    "num_layers": 6,
    "num_heads": 12,
    "mlp_dim": 1536,
  },
  "base": {},
}
# Of MNRE-2's training texts; of an object, as MEGA and ViLBERT have them.
_NUM_WORDS, _FEATURE_DIM = 30_000, {"mega": 4096, "vilbert": 2048}
_COLUMNS = (
  "row",
  "parameters",
  "compile, s",
  "examples/s",
  "lowest - highest",
  "of the first",
)
OPTIM = OptimConfig(groups={"all": GroupConfig(".*", 1e-5)})


def make_model(row: str, size: str, dtype: str) -> System:
  """Returns the model of a row in one of `SIZES`."""
  sizes: dict[str, Any] = SIZES[size]
  heads: dict[str, Any] = {k: v for k, v in sizes.items() if k != "mlp_dim"}
  shared: dict[str, Any] = {
    "text": TextConfig(**sizes),
    "vision": VisionConfig(**sizes),
    "vocab_size": _NUM_WORDS,
    "dtype": dtype,
  }
  if row == "vilbert":
    shared["vision"] = RegionStreamConfig(**sizes)
    shared["connection"] = CoAttentionConfig(**heads)
  model = variants.make(row, **shared)
  if model.regions is None:
    return model
  regions = RegionConfig(model.regions.num_regions, _FEATURE_DIM[model.system])
  return dataclasses.replace(model, regions=regions)


def random_batch(model: System, rows: int, text_len: int) -> Batch:
  """Returns numpy arrays with every field that a model reads, all there."""
  rng = np.random.default_rng(0)
  blank = parameters.blank_batch(model, rows, text_len)
  # Pictures are 0 to 255; ids are below every table's size.
  draws = {np.dtype(np.uint8): 256, np.dtype(np.int32): 1000}

  def fill(leaf):
    if leaf.dtype == bool:
      return np.asarray(leaf)
    if leaf.dtype in draws:
      return rng.integers(0, draws[leaf.dtype], leaf.shape, leaf.dtype)
    return rng.normal(size=leaf.shape).astype(leaf.dtype)

  batch = jax.tree.map(fill, blank)
  place = lambda most: rng.integers(0, most, rows, np.int32)  # noqa: E731
  fields = {name: place(text_len) for name in ("head_start", "tail_start")}
  if model.reads_words:
    fields |= {name: place(text_len) for name in ("head_word", "tail_word")}
  return batch.replace(
    token_type_ids=np.zeros_like(batch.input_ids),
    label=place(model.num_relations),
    **fields,
  )


def fresh_state(
  model: System, settings: OptimConfig, num_steps: int
) -> tuple[TrainState, optax.GradientTransformation]:
  """Returns a fresh state as `train` lays it out, and its optimizer.

  Args:
    model: whose parameters are drawn.
    settings: of the optimizer.
    num_steps: updates until the rate is 0.
  """
  shapes = parameters.abstract_params(model)
  layout = optimizer.choose_layout(model.scans_layers, settings, shapes)
  tx = optimizer.make_optimizer(settings, shapes, num_steps, layout)

  def start(key):
    params = parameters.init_params(model, key)
    return start_state(layout.convert(params), tx)

  return jax.jit(start)(jax.random.key(0)), tx


class Runner:
  """One row's compiled update, ready to be run for a while.

  Attributes:
    num_params: of the model.
    compile_seconds: of tracing and compiling the update.
  """

  def __init__(
    self, model: System, batch: Batch, form: str, num_slices: int = 1
  ):
    """Compiles the update and runs it once."""
    parallel = make_parallel(form)
    self.num_params = parameters.count_params(model)
    state, tx = fresh_state(model, OPTIM, num_steps=10_000)
    state = parallel.copy(state)
    step = TrainStep(build(model), tx, 0, num_slices, parallel.axis)
    self._rows = len(batch.label)
    self._batch = jax.device_put(parallel.split(batch))
    began = time.perf_counter()
    update: Any = parallel.compile_train(step)
    self._update = update.lower(state, self._batch).compile()
    self.compile_seconds = time.perf_counter() - began
    self._state, sums = self._update(state, self._batch)
    jax.block_until_ready(sums)

  def run(self, seconds: float) -> float:
    """Runs updates for at least so long; returns examples per second."""
    return self._rows * steps_per_second(self._start, seconds)

  def _start(self) -> dict[str, jax.Array]:
    self._state, sums = self._update(self._state, self._batch)
    return sums


def steps_per_second(start: Callable[[], Any], seconds: float) -> float:
  """Runs a step for at least so long, or once.

  Args:
    start: sets the device to work; returns arrays that it computes.
    seconds: after which no other step is started.
  """
  began, count, waiting = time.perf_counter(), 0, None
  while not count or time.perf_counter() - began < seconds:
    started = start()
    # One is always queued, so that the device does not wait for the host.
    jax.block_until_ready(waiting)
    waiting, count = started, count + 1
  jax.block_until_ready(waiting)
  return count / (time.perf_counter() - began)


def measure(
  runners: Mapping[str, Callable[[float], float]], seconds: float, rounds: int
) -> dict[str, list[float]]:
  """Returns examples per second of each row in each round."""
  rates: dict[str, list[float]] = {row: [] for row in runners}
  for _ in range(rounds):
    for row, run in runners.items():
      rates[row].append(run(seconds))
  return rates


def describe_machine() -> dict[str, Any]:
  """Returns what figures depend on: devices and versions."""
  packages = ("jax", "jaxlib", "flax", "optax", "numpy")
  devices = jax.devices()
  return {
    "backend": jax.default_backend(),
    "device": devices[0].device_kind,
    "num_devices": len(devices),
    "python": platform.python_version(),
    "versions": {name: metadata.version(name) for name in packages},
  }


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_list("rows", list(ROWS), "Which models.")
  flags.DEFINE_enum("size", "mini", [*SIZES], "Of the encoders.")
  flags.DEFINE_enum("parallel", "pmap", [*FORMS], "How steps are spread.")
  flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Computes.")
  flags.DEFINE_string("out", None, "JSON file to write.")
  for name, default, meaning in (
    ("batch_size", 32, "Rows of an update, over all devices."),
    ("text_len", 48, "Tokens of a text; 99 % of MNRE have at most 46."),
    ("rounds", 3, "Turns of each row."),
  ):
    flags.DEFINE_integer(name, default, meaning, lower_bound=1)
  flags.DEFINE_float("seconds", 5.0, "Of a turn, at least.", lower_bound=0.0)


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  unknown = [row for row in values.rows if row not in ROWS]
  if unknown or not values.rows:
    raise ValueError(
      f"--rows: want some of {', '.join(ROWS)}, found"
      f" {', '.join(unknown) or 'none'}"
    )
  make_parallel(values.parallel).check(values.batch_size, "--batch_size")
  runners = {}
  for row in dict.fromkeys(values.rows):
    model = make_model(row, values.size, values.dtype)
    batch = random_batch(model, values.batch_size, values.text_len)
    runners[row] = Runner(model, batch, values.parallel)
  turns = {row: runner.run for row, runner in runners.items()}
  rates = measure(turns, values.seconds, values.rounds)
  _show(runners, rates, values)


def _show(
  runners: Mapping[str, Runner], rates: Mapping[str, list[float]], values: Any
) -> None:
  """Prints the table and writes the file, if one is asked for."""
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
      f"{statistics.median(found):.1f}",
      f"{min(found):.1f} - {max(found):.1f}",
      f"{statistics.median(found) / first:.2f}",
    ]
    for row, found in rates.items()
  ]
  tables.print_table(tables.make_table(title, _COLUMNS, cells))
  if values.out:
    settings = ("size", "dtype", "parallel", "batch_size", "text_len")
    found = {
      "machine": machine,
      "settings": {name: values[name].value for name in settings},
      "examples_per_second": rates,
    }
    tables.write_json(values.out, found)


if __name__ == "__main__":
  app.run_module("ifa_jax.benchmark")
