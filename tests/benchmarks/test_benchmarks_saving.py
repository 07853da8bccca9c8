"""The benchmark of saves: each way saves the first state, or nothing."""

import pytest
import tiny

from benchmarks import saving
from ifa_jax.workdir.checkpoints import Checkpoints

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", name="loop")
def tiny_loop():
  return saving.Loop(tiny.tiny_config(num_layers=1), products=1)


def test_each_way_saves_the_state_of_its_first_update(loop, tmp_path):
  start, saved = int(loop._state.step), {}
  for way in ("none", "late", "fetched"):
    with Checkpoints(tmp_path / way) as checkpoints:
      assert loop.run(way, checkpoints, updates=3) > 0
      checkpoints.wait()
      saved[way] = checkpoints.newest
  # Each way makes three updates.
  assert saved == {"none": None, "late": start + 4, "fetched": start + 7}


def test_each_way_runs_in_each_round(loop):
  seconds = saving.measure(loop, rounds=2, updates=2)
  counts = {way: len(times) for way, times in seconds.items()}
  assert counts == {"none": 2, "late": 2, "fetched": 2}
