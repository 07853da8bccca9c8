"""Runs launch.py up to its second update, and writes what took how long.

    python -m benchmarks.start_once TIMES.json --config=... --workdir=...

What the run does is launch.py's own; only the doors between its parts are
watched: `experiment.build` and the compiled update.
"""

import json
import os
import pathlib
import resource
import runpy
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil

_LAUNCH = pathlib.Path(__file__).parents[1] / "launch.py"
# JAX's own events, and what they are here.
_EVENTS = {
  "/jax/core/compile/jaxpr_trace_duration": "trace",
  "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
  "/jax/core/compile/backend_compile_duration": "compile or load",
}


class Watch:
  """Notes when the parts of a start are done.

  Attributes:
    parts: name -> {"wall", "cpu"}, seconds that a part took; cpu of all
      threads.
    update: {"wall", "cpu"} of the second update, which waits for nothing.
    jax: seconds that JAX traced, lowered, and compiled or loaded, by its own
      account; these lie inside the parts.
  """

  def __init__(self):
    """Begins with the process, before Python was loaded."""
    self.parts: dict[str, dict[str, float]] = {}
    self.update: dict[str, float] = {}
    self.jax: Counter = Counter()
    self._last = {"wall": psutil.Process().create_time(), "cpu": 0.0}

  def done(self, name: str) -> None:
    """Ends a part; the next one begins."""
    self.parts[name] = self._lap()

  def _lap(self) -> dict[str, float]:
    """Returns the seconds since it was last called."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    now = {"wall": time.time(), "cpu": used.ru_utime + used.ru_stime}
    found = {key: now[key] - self._last[key] for key in now}
    self._last = now
    return found

  def listen(self, event: str, seconds: float, **_: Any) -> None:
    """Adds up JAX's own events."""
    if event in _EVENTS:
      self.jax[_EVENTS[event]] += seconds

  def around(self, function: Callable, name: str) -> Callable:
    """Returns a function that ends a part when it returns."""

    def watched(*args, **kwargs):
      result = function(*args, **kwargs)
      self.done(name)
      return result

    return watched

  def stop_at(self, compile_train: Callable, path: str) -> Callable:
    """Returns `Parallel.compile_train` whose update ends the process.

    It is made twice, since the first also waits for the state to be drawn.
    """
    import jax

    def watched(parallel, step):
      update = compile_train(parallel, step)

      def first(state, batch):
        self.done("state and first batch")
        state, sums = update(state, batch)
        self.done("first update dispatched")
        jax.block_until_ready(sums)
        self.done("first update done")
        jax.block_until_ready(update(state, batch)[1])
        self.update = self._lap()
        self._write(path)
        os._exit(0)

      return first

    return watched

  def _write(self, path: str) -> None:
    found = {"parts": self.parts, "update": self.update, "jax": self.jax}
    with open(path, "w", encoding="utf-8") as file:
      json.dump(found, file)


def main(path: str, flags: list[str]) -> None:
  """Runs launch.py with flags; writes times to a JSON file."""
  watch = Watch()
  # All that launch.py imports, in its order.
  from ml_collections import config_flags  # noqa: F401

  from ifa_jax.cli import app  # noqa: F401
  from ifa_jax.runtime.data_parallel import FORMS
  from ifa_jax.training import (  # noqa: F401
    evaluation,
    experiment,
    loop,
    pretrained,
  )

  watch.done("imports")
  import jax

  jax.monitoring.register_event_duration_secs_listener(watch.listen)
  experiment.build = watch.around(experiment.build, "dataset and checks")
  for form in FORMS.values():
    form.compile_train = watch.stop_at(form.compile_train, path)
  sys.argv = [str(_LAUNCH), *flags]
  sys.path[0] = str(_LAUNCH.parent)
  runpy.run_path(str(_LAUNCH), run_name="__main__")


if __name__ == "__main__":
  main(sys.argv[1], sys.argv[2:])
