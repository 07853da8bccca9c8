"""Trains as one of several processes, for `test_interrupted_processes`.

Arguments: a file of the run's config, its folder, and the seconds of a pause
after each update.
"""

import json
import pathlib
import sys
import time

import tiny_run

from ifa_jax.runtime import distributed, peers
from ifa_jax.training import loop
from ifa_jax.training.fault_tolerance.preemption import Preemption


def slow_down(seconds):
  reached = Preemption.reached

  def later(self, step):
    time.sleep(seconds)
    return reached(self, step)

  Preemption.reached = later


def main():
  slow_down(float(sys.argv[3]))
  # Signs are awaited for a shorter time than by users.
  peers.SECONDS_BETWEEN_SIGNS, peers.SECONDS_OF_SILENCE = 0.5, 8
  distributed.join()
  config = json.loads(pathlib.Path(sys.argv[1]).read_text())
  with peers.explained():
    loop.run(tiny_run.build(config), sys.argv[2])


if __name__ == "__main__":
  main()
