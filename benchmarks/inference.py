r"""Evaluation at full size: the model's step beside PyTorch's, in turn.

    python -m benchmarks.inference
    python -m benchmarks.inference --dtype=bfloat16 --batch_size=256 \
        --rows=ours,eager,compiled --seconds=5

Ours is the step that evaluates a split, from uint8 pixels to probabilities; the
rest is as in `benchmarks.training`. What reading posts and decoding pictures
adds is in `benchmarks.throughput`.
"""

from ifa_jax.runtime import malloc

malloc.keep_freed_memory()

# Behind it, since numpy, JAX and PyTorch start threads.
import time  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402

import jax  # noqa: E402

from benchmarks import comparison_table, flops  # noqa: E402
from benchmarks.comparison import Comparison, Settings  # noqa: E402
from ifa_jax import benchmark  # noqa: E402
from ifa_jax.batch import Batch  # noqa: E402
from ifa_jax.cli import app  # noqa: E402
from ifa_jax.models import build, parameters  # noqa: E402
from ifa_jax.models.base import System  # noqa: E402
from ifa_jax.models.layers.layer_layout import LayerLayout  # noqa: E402
from ifa_jax.runtime.data_parallel import make_parallel  # noqa: E402
from ifa_jax.training.eval_step import EvalStep  # noqa: E402


class Predictions:
  """The compiled evaluation of one batch, ready to be run for a while.

  Attributes:
    compile_seconds: of tracing and compiling the step.
  """

  def __init__(self, model: System, batch: Batch, form: str):
    """Compiles the step and runs it once."""
    parallel = make_parallel(form)

    def start(key):
      params = parameters.init_params(model, key)
      return LayerLayout(model.scans_layers).convert(params)

    self._params = parallel.copy(jax.jit(start)(jax.random.key(0)))
    self._batch = jax.device_put(parallel.split(batch))
    self._rows = len(batch.label)
    step = parallel.compile_rows(EvalStep(build(model)))
    began = time.perf_counter()
    self._step = step.lower(self._params, self._batch).compile()
    self.compile_seconds = time.perf_counter() - began
    self.run(0)

  def run(self, seconds: float) -> float:
    """Predicts for at least so long, or once; returns examples per second."""
    start = lambda: self._step(self._params, self._batch)  # noqa: E731
    return self._rows * benchmark.steps_per_second(start, seconds)


def compare(settings: Settings, of_length: Mapping[int, int]) -> Comparison:
  """Builds the rows; see `Comparison`."""
  return Comparison(
    settings, of_length, Predictions, flops.of_prediction, train=False
  )


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  comparison_table.run_command("Evaluation", compare)


if __name__ == "__main__":
  comparison_table.define_flags(batch_size=64)
  app.run(main)
