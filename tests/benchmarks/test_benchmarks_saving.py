"""The benchmark of saves: each way saves what it should, or nothing."""

import pytest
import tiny

from benchmarks import saving
from ifa_jax.workdir.checkpoints import Checkpoints

pytestmark = pytest.mark.slow


def test_each_way_saves_the_state_of_its_first_update(tmp_path):
  loop = saving.Loop(tiny.tiny_config(num_layers=1), products=1)
  newest = {}
  for way in saving.WAYS:
    with Checkpoints(tmp_path / way) as checkpoints:
      assert loop.run(way, checkpoints, updates=3) > 0
      checkpoints.wait()
      newest[way] = checkpoints.newest
  # One update came before the first turn, and three are in each.
  assert newest == {"alone": None, "late": 5, "fetched": 8}


def test_every_way_has_its_turn_in_every_round():
  loop = saving.Loop(tiny.tiny_config(num_layers=1), products=1)
  seconds = saving.measure(loop, rounds=2, updates=2)
  assert {way: len(times) for way, times in seconds.items()} == dict.fromkeys(
    saving.WAYS, 2
  )
