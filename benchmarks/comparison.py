"""The model beside the PyTorch yardstick, in turn within one process.

What `benchmarks.training` and `benchmarks.inference` share: rows, rounds, and
what comes of them. All rows have the same posts; `eager80` pads them to 80
tokens, as the published code does, all others to the batch's length bucket.
Between the rows of every round a large product of matrices is timed: FLOPs
that the model needs over those that the product reached at that moment is the
*share of peak*.
"""

import dataclasses
import os
import resource
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from benchmarks import flops, lengths, rounds
from ifa_jax import benchmark
from ifa_jax.batch import Batch, pack_text
from ifa_jax.models import replace
from ifa_jax.models.config import ModelConfig
from ifa_jax.runtime.data_parallel import make_parallel

# DeepKE's max_seq (conf/train.yaml), and the project's own buckets
# (ifa_jax/training/config/defaults.py).
TEXT_LEN, BUCKETS, PACKED_BUCKETS = 80, (44, 48, 56), (33, 36)
# Visual tokens -> settings: class token and crops; or these and the picture.
VISUAL_TOKENS = {"61": {"use_image": False}, "110": {}}
# Row -> the yardstick's form.
TORCH_ROWS = {"eager80": "eager", "eager": "eager", "compiled": "compiled"}
OURS = "ours"
ROWS = (OURS, *TORCH_ROWS)


@dataclasses.dataclass(frozen=True)
class Settings:
  """What is measured; flags of the same names.

  Attributes:
    size: of the encoders, one of `benchmark.SIZES`.
    visual_tokens: a key of `VISUAL_TOKENS`.
    batch_size: rows of a step, over all devices.
    text_len: tokens that texts are padded to; 0: the bucket that most batches
      of the size need.
    dtype: that the model computes in; PyTorch's rows have their own.
    rows: of `ROWS`, which are measured.
    parallel: how the model's steps are spread over devices.
    rounds: turns of each row.
    seconds: of a turn, at least; one step if it is 0.
  """

  size: str = "base"
  visual_tokens: str = "61"
  batch_size: int = 32
  text_len: int = 0
  dtype: str = "float32"
  rows: tuple[str, ...] = (OURS, "eager80", "eager")
  parallel: str = "pmap"
  rounds: int = 3
  seconds: float = 0.0

  def __post_init__(self):
    """Raises ValueError for rows that there are not."""
    unknown = [row for row in self.rows if row not in ROWS]
    if unknown or not self.rows:
      raise ValueError(
        f"--rows: want some of {', '.join(ROWS)}, found"
        f" {', '.join(unknown) or 'none'}"
      )
    make_parallel(self.parallel).check(self.batch_size, "--batch_size")

  @property
  def model(self) -> ModelConfig:
    """The model that is measured."""
    model = benchmark.make_model("objects", self.size, self.dtype)
    return replace(model, **VISUAL_TOKENS[self.visual_tokens])


class Runner(Protocol):
  """A compiled step; `run(seconds)` gives examples a second."""

  compile_seconds: float
  run: Callable[[float], float]


class Row(NamedTuple):
  """One row of the comparison.

  Attributes:
    runner: of its steps.
    text_len: T.
    dtype: that its products are computed in.
    memory_bytes: the device's most while it was built and run once, or None.
  """

  runner: Runner
  text_len: int
  dtype: str
  memory_bytes: int | None


def make_batch(
  model: ModelConfig, text_lengths: np.ndarray, text_len: int
) -> Batch:
  """Returns random posts with texts of int[B] tokens, padded to `text_len`."""
  batch = benchmark.random_batch(model, len(text_lengths), text_len)
  return lengths.shorten(batch, text_lengths)


class Comparison:
  """Rows that are built one after the other, and then take turns."""

  def __init__(
    self,
    settings: Settings,
    of_length: Mapping[int, int],
    make_ours: Callable[[ModelConfig, Batch, str], Runner],
    flops_of: Callable[[ModelConfig, int], float],
    train: bool,
  ):
    """Builds every row.

    Args:
      settings: what is measured.
      of_length: tokens -> rows, see `lengths`.
      make_ours: the model's runner, of a batch in a form of parallelism.
      flops_of: an example's FLOPs with texts of a length.
      train: whether the yardstick updates, or predicts.
    """
    # The other library shares the device's memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    self._settings = settings
    self._flops_of = flops_of
    self.shares = lengths.bucket_shares(
      of_length, settings.batch_size, BUCKETS, TEXT_LEN
    )
    text_len = settings.text_len or max(self.shares, key=self.shares.get)
    drawn = lengths.draw(of_length, settings.batch_size, text_len)
    model, self.rows = settings.model, {}
    for name in dict.fromkeys(settings.rows):
      padded = TEXT_LEN if name == "eager80" else text_len
      batch = make_batch(model, drawn, padded)
      if name == OURS:
        if jax.device_count() == 1:
          batch = pack_text(batch, PACKED_BUCKETS)
        runner = make_ours(model, batch, settings.parallel)
        self.rows[name] = Row(runner, padded, settings.dtype, _memory())
      else:
        self.rows[name] = _torch_row(name, model, batch, train)
    self._product = flops.Product(flops.product_side(), settings.dtype)

  def measure(self) -> dict[str, Any]:
    """Runs all rounds.

    Returns:
      `machine`, `settings`, `bucket_shares`, the `product`'s FLOP/s in each
      round and `rows`: name -> what `rounds.summarise` gives.
    """
    settings = self._settings
    clock = rounds.CpuClock
    clocks = {name: clock(row.runner.run) for name, row in self.rows.items()}
    turns = dict(clocks) | {"product": self._product.run}
    rates = benchmark.measure(turns, settings.seconds, settings.rounds)
    product = rates.pop("product")
    return {
      "machine": benchmark.describe_machine() | _torch_version(settings),
      "settings": dataclasses.asdict(settings),
      "bucket_shares": self.shares,
      "product_flops_per_second": product,
      "process_peak_rss_bytes": _peak_rss(),
      "rows": {
        name: self._describe(row)
        | {"cpu_seconds_per_example": clocks[name].of_example}
        | rounds.summarise(
          rates[name],
          rates.get(OURS),
          product if row.dtype == settings.dtype else None,
          self._flops_of(settings.model, row.text_len),
        )
        for name, row in self.rows.items()
      },
    }

  def _describe(self, row: Row) -> dict[str, Any]:
    return {
      "text_len": row.text_len,
      "dtype": row.dtype,
      "compile_seconds": row.runner.compile_seconds,
      "device_memory_bytes": row.memory_bytes,
    }


def _torch_row(name: str, model: ModelConfig, batch: Batch, train: bool) -> Row:
  """Builds a row of the yardstick.

  Raises:
    ValueError: without PyTorch or transformers.
  """
  try:
    from benchmarks import yardstick_step
  except ImportError as error:
    raise ValueError(
      f"--rows={name}: want torch and transformers (the extra dev),"
      f" found no {error.name}; --rows={OURS} needs neither"
    ) from None
  form = TORCH_ROWS[name]
  runner = yardstick_step.TorchRunner(model, batch, form, train)
  dtype = "float32" if form == "eager" else "bfloat16"
  return Row(runner, batch.input_ids.shape[1], dtype, runner.memory_bytes)


def _torch_version(settings: Settings) -> dict[str, Any]:
  if not any(row in TORCH_ROWS for row in settings.rows):
    return {}
  import torch

  return {"torch": torch.__version__, "torch_threads": torch.get_num_threads()}


def _memory() -> int | None:
  """Returns the most that the first device has held, where it counts."""
  stats = jax.local_devices()[0].memory_stats() or {}
  return stats.get("peak_bytes_in_use")


def _peak_rss() -> int:
  return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
