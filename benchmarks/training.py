r"""Training at full size: the model's update beside PyTorch's, in turn.

    python -m benchmarks.training
    python -m benchmarks.training --visual_tokens=110 --out=training.json
    python -m benchmarks.training --dtype=bfloat16 --batch_size=256 \
        --rows=ours,eager,compiled --seconds=5

Ours is the update that `launch.py` runs: dropout, AdamW, clipping, metrics, on
uint8 pixels. The yardstick (`benchmarks.yardstick`) clips nothing and starts
from normalised pixels. Both have their batch on the device. Texts have the
lengths of MNRE's, or of a tree's (--raw_dir, --tokenizer). Sizes are those of
`ifa_jax.benchmark`.

`compile` is tracing and compiling without a cache. `of peak` counts the FLOPs
that the model needs at the row's T: what is recomputed or reaches nothing does
not count. Memory is the device's; on a CPU --out has the process's peak, which
is a row's own with --rows of one row.
"""

from ifa_jax.runtime import malloc

malloc.keep_freed_memory()

# Behind it, since numpy, JAX and PyTorch start threads.
from collections.abc import Mapping, Sequence  # noqa: E402

from benchmarks import comparison_table, flops  # noqa: E402
from benchmarks.comparison import Comparison, Settings  # noqa: E402
from ifa_jax import benchmark  # noqa: E402
from ifa_jax.cli import app  # noqa: E402


def compare(settings: Settings, of_length: Mapping[int, int]) -> Comparison:
  """Builds the rows; see `Comparison`."""
  return Comparison(
    settings, of_length, benchmark.Runner, flops.of_update, train=True
  )


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  comparison_table.run_command("Training", compare)


if __name__ == "__main__":
  comparison_table.define_flags()
  app.run(main)
