"""What a checkpoint costs the loop: the time of some updates around a save.

    python -m benchmarks.saving [--size=base] [--rounds=3] [--out=saving.json]

An update here is a chain of products and a touch of every parameter: the state
is as large as a run's, and the time of an update can be chosen. "alone" saves
nothing, "late" saves as `training.loop` does, with the next update under
way, and "fetched" copies the state to the host first. In turn.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags

from ifa_jax import benchmark
from ifa_jax.cli import app, tables
from ifa_jax.models import parameters
from ifa_jax.models.base import System
from ifa_jax.runtime.data_parallel import make_parallel
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.state import TrainState

WAYS = ("alone", "late", "fetched")
_SIDE = 1024


def make_state(model: System) -> TrainState:
  """Returns random parameters and moments, numpy arrays."""
  rng = np.random.default_rng(0)
  shapes = parameters.abstract_params(model)
  draw = lambda: jax.tree.map(  # noqa: E731
    lambda x: rng.standard_normal(x.shape, np.float32), shapes
  )
  moments = optax.ScaleByAdamState(np.int32(0), draw(), draw())
  return TrainState(np.int32(0), draw(), (moments,))


class Loop:
  """Makes updates of a state, and saves it in one of `WAYS`."""

  def __init__(self, model: System, products: int):
    """Copies the state to the devices and compiles.

    Args:
      model: whose parameters the state has.
      products: of 1024 x 1024 matrices, in an update.
    """
    self._parallel = make_parallel("jit")
    state = make_state(model)
    self.num_bytes = sum(x.nbytes for x in jax.tree.leaves(state))
    self._state = self._parallel.copy(state)
    self._rows = np.ones(jax.device_count(), np.float32)

    def update(state, rows):
      start = jnp.full((_SIDE, _SIDE), rows.sum())
      multiply = lambda _, x: jnp.tanh(x @ x / _SIDE)  # noqa: E731
      result = jax.lax.fori_loop(0, products, multiply, start)
      params = jax.tree.map(lambda x: 0.9999 * x, state.params)
      return state.replace(step=state.step + 1, params=params), result.sum()

    self._update = self._parallel.compile_train(update)
    self.run("alone", None, 1)

  def run(
    self, way: str, checkpoints: Checkpoints | None, updates: int
  ) -> float:
    """Returns the seconds of some updates; the first one's state is saved."""
    started, unsaved = time.monotonic(), None
    for number in range(updates):
      rows = self._parallel.split(self._rows)
      self._state, result = self._update(self._state, rows)
      if unsaved is not None:
        checkpoints.save(unsaved)
        unsaved = None
      if number == 0 and way == "late":
        unsaved = self._parallel.snapshot(self._state)
      if number == 0 and way == "fetched":
        checkpoints.save(self._parallel.fetch(self._state))
    jax.block_until_ready(result)
    return time.monotonic() - started


def measure(loop: Loop, rounds: int, updates: int) -> dict[str, list[float]]:
  """Returns the seconds of each way in each round.

  What is written in the background is done before the next turn.
  """
  seconds: dict[str, list[float]] = {way: [] for way in WAYS}
  for _ in range(rounds):
    for way in WAYS:
      with (
        tempfile.TemporaryDirectory() as folder,
        Checkpoints(folder) as saved,
      ):
        seconds[way].append(loop.run(way, saved, updates))
  return seconds


def _define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  flags.DEFINE_enum("size", "base", [*benchmark.SIZES], "Of the encoders.")
  flags.DEFINE_integer("products", 30, "Of an update.", lower_bound=1)
  flags.DEFINE_integer("updates", 4, "Of a turn.", lower_bound=2)
  flags.DEFINE_integer("rounds", 3, "Turns of each way.", lower_bound=1)
  flags.DEFINE_string("out", None, "JSON file to write.")


def main(_: Sequence[str]) -> None:
  """Runs the command."""
  values = flags.FLAGS
  model = benchmark.make_model("objects", values.size, "float32")
  loop = Loop(model, values.products)
  # The first save of all compiles.
  measure(loop, 1, 2)
  seconds = measure(loop, values.rounds, values.updates)
  title = (
    f"{values.updates} updates, the first one's {loop.num_bytes / 1e9:.2f}"
  )
  rows = [
    [way, f"{statistics.median(x):.2f}", f"{min(x):.2f} - {max(x):.2f}"]
    for way, x in seconds.items()
  ]
  columns = ("save", "seconds, median", "from - to")
  tables.print_table(tables.make_table(title, columns, rows))
  if values.out:
    found: dict[str, Any] = {"machine": benchmark.describe_machine()}
    found |= {"num_bytes": loop.num_bytes, "seconds": seconds}
    tables.write_json(values.out, found)


if __name__ == "__main__":
  _define_flags()
  app.run(main)
