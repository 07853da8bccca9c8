r"""Time of the parts of a start of launch.py, until its first update is done.

    export JAX_COMPILATION_CACHE_DIR=$(mktemp -d)
    for start in cold warm warm; do
      python -m benchmarks.start --config=configs/mnre.py \
          --config.data.data_dir=data/mnre --workdir=$(mktemp -d)
    done

The flags are those of launch.py, whose `experiment.build` and compiled update
are wrapped. The process ends after a second update, which shows how much of the
time of the first is the update's own. CPU seconds are those of all threads;
unlike wall-clock time they hardly depend on other processes.
"""

import os
import pathlib
import resource
import runpy
import sys
import time
from collections.abc import Callable, Sequence

import psutil

_LAUNCH = pathlib.Path(__file__).parents[1] / "launch.py"


class Stopwatch:
  """Times the parts of this process, from its start."""

  def __init__(self):
    """Starts with the process, before Python was loaded."""
    # Name -> wall-clock seconds, CPU seconds of all threads.
    self.parts: dict[str, tuple[float, float]] = {}
    self._last = psutil.Process().create_time(), 0.0

  def lap(self, name: str) -> None:
    """Ends a part; the next one begins."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    now = time.time(), used.ru_utime + used.ru_stime
    self.parts[name] = now[0] - self._last[0], now[1] - self._last[1]
    self._last = now

  def stop_after_update(self, compile_train: Callable) -> Callable:
    """Returns `Parallel.compile_train` whose update ends the process."""
    import jax

    def wrapped(parallel, step):
      update = compile_train(parallel, step)

      def update_and_exit(state, batch):
        self.lap("state and first batch")
        state, sums = update(state, batch)
        self.lap("first update dispatched")
        # Also waits for the state, so a second update is timed by itself.
        jax.block_until_ready(sums)
        self.lap("first update done")
        jax.block_until_ready(update(state, batch)[1])
        self.lap("second update")
        self.report()
        sys.stdout.flush()
        os._exit(0)

      return update_and_exit

    return wrapped

  def report(self) -> None:
    """Prints the parts and their sums."""
    from ifa_jax.cli import tables

    *parts, update = self.parts.values()
    total = [sum(column) for column in zip(*parts, strict=True)]
    without = [x - y for x, y in zip(total, update, strict=True)]
    sums = {"total": total, "total without an update": without}
    rows = [
      [name, *(f"{x:.2f}" for x in seconds)]
      for name, seconds in (self.parts | sums).items()
    ]
    columns = ("part", "seconds", "CPU seconds")
    tables.print_table(tables.make_table("", columns, rows))


def main(flags: Sequence[str]) -> None:
  """Runs launch.py with flags."""
  stopwatch = Stopwatch()
  # The imports of launch.py, in its order.
  from ml_collections import config_flags  # noqa: F401

  from ifa_jax.cli import app  # noqa: F401
  from ifa_jax.runtime.forms import FORMS
  from ifa_jax.training import (  # noqa: F401
    evaluation,
    experiment,
    loop,
    pretrained,
  )

  stopwatch.lap("imports")
  build = experiment.build

  def build_and_lap(*args):
    built = build(*args)
    stopwatch.lap("dataset and checks")
    return built

  experiment.build = build_and_lap
  for form in FORMS.values():
    form.compile_train = stopwatch.stop_after_update(form.compile_train)
  sys.argv = [str(_LAUNCH), *flags]
  sys.path[0] = str(_LAUNCH.parent)
  runpy.run_path(str(_LAUNCH), run_name="__main__")


if __name__ == "__main__":
  main(sys.argv[1:])
