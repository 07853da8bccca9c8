"""The flags, the table and the file of a comparison with the yardstick."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from absl import flags

from benchmarks import lengths
from benchmarks.comparison import (
  OURS,
  ROWS,
  TEXT_LEN,
  VISUAL_TOKENS,
  Comparison,
  Settings,
)
from ifa_jax import benchmark
from ifa_jax.cli import tables
from ifa_jax.runtime.data_parallel import FORMS

_COLUMNS = (
  "row",
  "T",
  "dtype",
  "compile, s",
  "examples/s",
  "CPU s / ex.",
  "GFLOP/s",
  "of peak, %",
  "ours / row",
  "memory, GB",
)


def define_flags(**defaults: Any) -> None:
  """Defines the flags of `Settings`, some with other defaults, and of files."""
  first = dataclasses.asdict(Settings(**defaults))
  names = ("size", [*benchmark.SIZES]), ("visual_tokens", [*VISUAL_TOKENS])
  names += (("dtype", ["float32", "bfloat16"]), ("parallel", [*FORMS]))
  meanings = {
    "size": "Of the encoders.",
    "visual_tokens": "Class token and crops, or these and the picture.",
    "dtype": "That the model computes in.",
    "parallel": "How the model's steps are spread over devices.",
    "batch_size": "Rows of a step, over all devices.",
    "text_len": "Padding; 0: the bucket that most batches need.",
    "rounds": "Turns of each row.",
  }
  for name, choices in names:
    flags.DEFINE_enum(name, first[name], choices, meanings[name])
  for name, least in (("batch_size", 1), ("text_len", 0), ("rounds", 1)):
    flags.DEFINE_integer(name, first[name], meanings[name], lower_bound=least)
  flags.DEFINE_list("rows", list(first["rows"]), f"Of {', '.join(ROWS)}.")
  flags.DEFINE_float("seconds", 0.0, "Of a turn, at least.", lower_bound=0.0)
  flags.DEFINE_string("raw_dir", None, "Tree whose texts' lengths to take.")
  flags.DEFINE_string("tokenizer", None, "Of --raw_dir: a hub id or a folder.")
  flags.DEFINE_string("out", None, "JSON file to write.")


def run_command(
  title: str, compare: Callable[[Settings, Mapping[int, int]], Comparison]
) -> None:
  """Measures what the flags say, prints the table, and writes the file.

  Raises:
    ValueError: for flags that do not fit each other.
  """
  values = flags.FLAGS
  names = [field.name for field in dataclasses.fields(Settings)]
  chosen = {name: values[name].value for name in names}
  settings = Settings(**chosen | {"rows": tuple(chosen["rows"])})
  of_length = lengths.MNRE
  if values.raw_dir:
    if not values.tokenizer:
      raise ValueError("--tokenizer: want that of --raw_dir, found none")
    of_length = lengths.count(values.raw_dir, values.tokenizer, TEXT_LEN)
  # Compilation is timed, and is to be done each time.
  jax.config.update("jax_enable_compilation_cache", False)
  found = compare(settings, of_length).measure()
  tables.print_table(make_table(title, found))
  if values.out:
    tables.write_json(values.out, found)


def make_table(title: str, found: Mapping[str, Any]) -> Any:
  """Returns the table of what `Comparison.measure` gives."""
  machine, settings = found["machine"], found["settings"]
  product = statistics.median(found["product_flops_per_second"]) / 1e9
  shares = ", ".join(
    f"T = {bucket} {100 * share:.0f} %"
    for bucket, share in found["bucket_shares"].items()
  )
  heading = (
    f"{title}, size {settings['size']}, {settings['batch_size']} rows,"
    f" {settings['visual_tokens']} visual tokens, {settings['rounds']} rounds"
    f"\non {machine['num_devices']} x {machine['device']}"
    f" ({machine['backend']}), product {product:.0f} GFLOP/s"
    f" in {settings['dtype']}\nbatches need {shares}"
  )
  cells = (_cells(name, row) for name, row in found["rows"].items())
  return tables.make_table(heading, _COLUMNS, cells)


def _cells(name: str, row: Mapping[str, Any]) -> Sequence[str]:
  share, memory = row["share_of_peak"], row["device_memory_bytes"]
  compile_seconds = row["compile_seconds"]
  return (
    name,
    str(row["text_len"]),
    row["dtype"],
    "" if compile_seconds is None else f"{compile_seconds:.1f}",
    _spread(row["examples_per_second"], 1),
    f"{statistics.median(row['cpu_seconds_per_example']):.3g}",
    f"{row['flops_per_second'] / 1e9:.0f}",
    "" if share is None else _spread([100 * x for x in share], 0),
    "" if name == OURS else _spread(row["ours_over_this"] or [], 2),
    "" if memory is None else f"{memory / 1e9:.1f}",
  )


def _spread(values: Sequence[float], digits: int) -> str:
  """Returns the median with the lowest and the highest: "1.52 (1.4 - 1.6)"."""
  if not values:
    return ""
  middle, low, high = (
    f"{x:.{digits}f}"
    for x in (statistics.median(values), min(values), max(values))
  )
  return f"{middle} ({low} - {high})"
