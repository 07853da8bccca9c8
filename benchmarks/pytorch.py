r"""Training and inference at full size, compared with PyTorch.

    python -m benchmarks.pytorch --visual_tokens=110 --out=training.json
    python -m benchmarks.pytorch --dtype=bfloat16 --batch_size=256 \
        --rows=ours,eager,compiled --seconds=5
    python -m benchmarks.pytorch --task=predict --batch_size=64

`ours` is the step of `launch.py`, from uint8 pixels on the device: an update
with dropout, clipping and metrics, or the prediction of an evaluation. The
other rows run `benchmarks.yardstick` without clipping, on normalised pixels.
All rows have the same posts; `eager80` pads them to 80 tokens, as the published
code does, the others to the batch's length bucket. Rows run in turn, with a
large matrix product in each round: "of peak" is the FLOP/s needed at the row's
T (recomputation does not count) over those of the product.

"compile" is tracing and compiling without a cache. Memory is the device's; on a
CPU --out has the peak of the process, which is a row's own with one --rows.
"""

from ifa_jax.runtime import malloc

malloc.keep_freed_memory()

# Only now, since numpy, JAX and PyTorch start threads.
import dataclasses  # noqa: E402
import functools  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Mapping, Sequence  # noqa: E402
from typing import Any  # noqa: E402

import jax  # noqa: E402
import numpy as np  # noqa: E402

from benchmarks import flops, harness, random_posts  # noqa: E402
from ifa_jax import benchmark  # noqa: E402
from ifa_jax.batch import pack_text  # noqa: E402
from ifa_jax.cli.settings_flags import setting  # noqa: E402
from ifa_jax.runtime.forms import FORMS, make_parallel  # noqa: E402

ROWS = ("ours", "eager80", "eager", "compiled")
_COLUMNS = ("row", "T", "dtype", "compile, s", "examples/s", "CPU s / ex.")
_COLUMNS += ("GFLOP/s", "of peak, %", "ours / row", "memory, GB")


@dataclasses.dataclass(frozen=True)
class Settings:
  """Flags of the command."""

  task: str = setting("Step.", "train", choices=("train", "predict"))
  size: str = setting("Size of encoders.", "base", choices=[*benchmark.SIZES])
  visual_tokens: str = setting(
    "Class token and crops, or these and the picture.",
    "61",
    choices=random_posts.VISUAL_TOKENS,
  )
  batch_size: int = setting("Rows per step, over all devices.", 32, least=1)
  text_len: int = setting(
    "Padded length; 0: the most frequent bucket.", 0, least=0
  )
  dtype: str = setting(
    "Dtype of our computation.", "float32", choices=benchmark.DTYPES
  )
  rows: tuple[str, ...] = setting("Rows to measure.", ROWS[:3], choices=ROWS)
  parallel: str = setting("Form of data parallelism.", "pmap", choices=[*FORMS])
  rounds: int = setting("Measurements of each row.", 3, least=1)
  seconds: float = setting(
    "Minimum duration of each measurement.", 0.0, least=0
  )
  out: str | None = setting("JSON file to write.", None)

  @property
  def model(self) -> Any:
    """The config that is measured."""
    return random_posts.make_model(self.size, self.dtype, self.visual_tokens)


def make_row(
  settings: Settings, name: str, text_len: int
) -> tuple[Callable[[float], float], dict[str, Any]]:
  """Builds one of `ROWS` for texts of at most `text_len`; runs its step once.

  Returns:
    A function of seconds that returns examples per second, and properties of
    the row.

  Raises:
    ValueError: if PyTorch or transformers is needed and missing.
  """
  model, train = settings.model, settings.task == "train"
  lengths = random_posts.draw_lengths(settings.batch_size, text_len)
  text_len = random_posts.TEXT_LEN if name == "eager80" else text_len
  batch = random_posts.make_batch(model, lengths, text_len)
  if name == "ours":
    if jax.device_count() == 1:
      batch = pack_text(batch, random_posts.PACKED_BUCKETS)
    runner = benchmark.Runner(model, batch, settings.parallel, train)
    stats = jax.local_devices()[0].memory_stats() or {}
    dtype, memory = settings.dtype, stats.get("peak_bytes_in_use")
  else:
    try:
      from benchmarks import yardstick
    except ImportError as error:
      raise ValueError(
        f"--rows={name}: expected torch and transformers (the extra dev), got"
        f" no {error.name}; --rows=ours needs neither"
      ) from None
    form = name.removesuffix("80")
    runner = yardstick.TorchRunner(model, batch, form, train)
    dtype = "float32" if form == "eager" else "bfloat16"
    memory = runner.memory_bytes
  row = {"text_len": text_len, "dtype": dtype, "device_memory_bytes": memory}
  return runner.run, row | {"compile_seconds": runner.compile_seconds}


def measure(settings: Settings) -> dict[str, Any]:
  """Builds the rows and runs all rounds.

  Returns:
    `settings`, `bucket_shares`, the `product`'s FLOP/s per round, the peak
    memory of the process, and `rows`: name -> figures.
  """
  # PyTorch shares the memory of the device; set before JAX looks for devices.
  os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
  make_parallel(settings.parallel).check(settings.batch_size, "--batch_size")
  shares = random_posts.bucket_shares(settings.batch_size)
  text_len = settings.text_len or max(shares, key=shares.get)
  names = dict.fromkeys(settings.rows)
  rows = {name: make_row(settings, name, text_len) for name in names}
  runs = {name: run for name, (run, _) in rows.items()}
  runs["product"] = flops.make_product(settings.dtype)
  for name, run in runs.items():
    runs[name] = functools.partial(run_timed, run, settings.seconds)
  timed = benchmark.take_turns(runs, settings.rounds)
  count = flops.of_update if settings.task == "train" else flops.of_prediction
  peaks = [rate for rate, _ in timed["product"]]
  ours = [rate for rate, _ in timed.get("ours", ())]
  figures = {}
  for name, (_, row) in rows.items():
    rates, cpu_seconds = map(list, zip(*timed[name], strict=True))
    # The peak of another dtype is another one.
    row_peaks = peaks if row["dtype"] == settings.dtype else None
    flops_per_example = count(settings.model, row["text_len"])
    figures[name] = row | {"cpu_seconds_per_example": cpu_seconds}
    figures[name] |= summarise(rates, ours, row_peaks, flops_per_example)
  usage = resource.getrusage(resource.RUSAGE_SELF)
  found = {
    "settings": dataclasses.asdict(settings),
    "bucket_shares": shares,
    "product_flops_per_second": peaks,
    "process_peak_rss_bytes": 1024 * usage.ru_maxrss,
    "rows": figures,
  }
  if torch := sys.modules.get("torch"):
    found["torch"] = torch.__version__
    found["torch_threads"] = torch.get_num_threads()
  return found


def run_timed(
  run: Callable[[float], float], seconds: float
) -> tuple[float, float]:
  """Runs steps; returns examples per second and CPU seconds per example.

  CPU time varies less than wall-clock time on a shared machine. It includes
  threads that wait busily, and no GPU time.
  """
  wall, cpu = time.perf_counter(), time.process_time()
  rate = run(seconds)
  wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
  return rate, cpu / (rate * wall)


def summarise(
  rates: Sequence[float],
  ours: Sequence[float],
  peaks: Sequence[float] | None,
  flops_per_example: float,
) -> dict[str, Any]:
  """Returns the figures of a row, round by round.

  Args:
    rates: examples per second of the row.
    ours: of `ours`; empty if it is not measured.
    peaks: FLOP/s of the product; None if its dtype differs from the row's.
    flops_per_example: of the model's products.
  """
  achieved = np.multiply(rates, flops_per_example)
  return {
    "examples_per_second": [*rates],
    "flops_per_example": flops_per_example,
    "flops_per_second": float(np.median(achieved)),
    "share_of_peak": peaks and np.divide(achieved, peaks).tolist(),
    "ours_over_this": np.divide(ours, rates).tolist() if ours else None,
  }


def cells(name: str, row: Mapping[str, Any]) -> list[str]:
  """Returns a line of the table."""
  compile_seconds, memory = row["compile_seconds"], row["device_memory_bytes"]
  shares = row["share_of_peak"] or []
  return [
    name,
    str(row["text_len"]),
    row["dtype"],
    "" if compile_seconds is None else f"{compile_seconds:.1f}",
    harness.spread(row["examples_per_second"], 1),
    f"{statistics.median(row['cpu_seconds_per_example']):.3g}",
    f"{row['flops_per_second'] / 1e9:.0f}",
    harness.spread([100 * share for share in shares], 0),
    "" if name == "ours" else harness.spread(row["ours_over_this"], 2),
    "" if memory is None else f"{memory / 1e9:.1f}",
  ]


def main(settings: Settings) -> None:
  """Runs the command."""
  # Compilation is timed, so it must not be skipped.
  jax.config.update("jax_enable_compilation_cache", False)
  found = measure(settings)
  product = statistics.median(found["product_flops_per_second"]) / 1e9
  shares = ", ".join(
    f"T = {bucket} {100 * share:.0f} %"
    for bucket, share in found["bucket_shares"].items()
  )
  title = (
    f"{settings.task}, size {settings.size}, {settings.batch_size} rows,"
    f" {settings.visual_tokens} visual tokens, {settings.rounds} rounds,"
    f" product {product:.0f} GFLOP/s in {settings.dtype}\nbatches need {shares}"
  )
  rows = (cells(*item) for item in found["rows"].items())
  harness.report(title, _COLUMNS, rows, found, settings.out)


if __name__ == "__main__":
  harness.run(main, Settings)
