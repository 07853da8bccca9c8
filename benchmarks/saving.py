"""Cost of a checkpoint to the training loop: time of some updates with a save.

    python -m benchmarks.saving [--size=base] [--rounds=3] [--out=saving.json]

An update here is a chain of matrix products and a change of every parameter:
the state is as large as a run's, and the time of an update can be chosen. The
state of the first update is saved: `none` saves nothing, `late` saves as
`training.loop` does, with the next update already dispatched, and `fetched`
copies the state to the host first. The ways run in turn.
"""

import dataclasses
import functools
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import harness
from ifa_jax import benchmark
from ifa_jax.cli.settings_flags import setting
from ifa_jax.models import parameters
from ifa_jax.models.base import System
from ifa_jax.runtime.forms import make_parallel
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.state import TrainState

_SIDE = 1024
WAYS = ("none", "late", "fetched")


@dataclasses.dataclass(frozen=True)
class Settings:
  """Flags of the command."""

  size: str = setting("Size of encoders.", "base", choices=[*benchmark.SIZES])
  products: int = setting("Products of 1024 x 1024 per update.", 30, least=1)
  updates: int = setting("Updates per measurement.", 4, least=1)
  rounds: int = setting("Measurements of each way.", 3, least=1)
  out: str | None = setting("JSON file to write.", None)


class Loop:
  """Updates a state of `num_bytes`, and saves it."""

  def __init__(self, model: System, products: int):
    """Copies a random state to the devices and compiles the update."""
    self._parallel = make_parallel("jit")
    rng = np.random.default_rng(0)
    shapes = parameters.abstract_params(model)
    params, mean, variance = (
      jax.tree.map(lambda x: rng.standard_normal(x.shape, np.float32), shapes)
      for _ in range(3)
    )
    moments = optax.ScaleByAdamState(np.int32(0), mean, variance)
    state = TrainState(np.int32(0), params, (moments,))
    self.num_bytes = sum(x.nbytes for x in jax.tree.leaves(state))
    self._state = self._parallel.copy(state)

    def multiply(_, x):
      return jnp.tanh(x @ x / _SIDE)

    def update(state, rows):
      start = jnp.full((_SIDE, _SIDE), rows.sum())
      result = jax.lax.fori_loop(0, products, multiply, start)
      params = jax.tree.map(lambda x: 0.9999 * x, state.params)
      return state.replace(step=state.step + 1, params=params), result.sum()

    self._update = self._parallel.compile_train(update)
    self._run_update()

  def _run_update(self) -> jax.Array:
    rows = self._parallel.split(np.ones(jax.device_count(), np.float32))
    self._state, result = self._update(self._state, rows)
    return result

  def run(self, way: str, checkpoints: Checkpoints, updates: int) -> float:
    """Returns the seconds of some updates, the state of the first one saved."""
    began = time.monotonic()
    result = self._run_update()
    if way == "fetched":
      checkpoints.save(self._parallel.fetch(self._state))
    elif way == "late":
      unsaved = self._parallel.snapshot(self._state)
      result = self._run_update()
      checkpoints.save(unsaved)
      updates -= 1
    for _ in range(updates - 1):
      result = self._run_update()
    jax.block_until_ready(result)
    return time.monotonic() - began


def measure(loop: Loop, rounds: int, updates: int) -> dict[str, list[float]]:
  """Returns the seconds of each way, round by round."""

  def run(way):
    with tempfile.TemporaryDirectory() as folder, Checkpoints(folder) as saved:
      # On exit the background write ends, before the next way runs.
      return loop.run(way, saved, updates)

  runs = {way: functools.partial(run, way) for way in WAYS}
  return benchmark.take_turns(runs, rounds)


def main(settings: Settings) -> None:
  """Runs the command."""
  model = benchmark.make_model("objects", settings.size, "float32")
  loop = Loop(model, settings.products)
  # The first save compiles.
  measure(loop, 1, 2)
  seconds = measure(loop, settings.rounds, settings.updates)
  rows = [[way, harness.spread(times, 2)] for way, times in seconds.items()]
  size = f"{loop.num_bytes / 1e9:.2f} GB"
  title = f"{settings.updates} updates, the state of one ({size}) saved"
  found = {"num_bytes": loop.num_bytes, "seconds": seconds}
  harness.report(title, ("save", "seconds"), rows, found, settings.out)


if __name__ == "__main__":
  harness.run(main, Settings)
