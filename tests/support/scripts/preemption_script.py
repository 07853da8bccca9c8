"""Runs as one of several processes, for `test_preemption`.

Prints "ready", and in the end the step at which it is to stop. Its argument is
the seconds of a step.
"""

import itertools
import os
import sys
import time

os.environ["JAX_PLATFORMS"] = "cpu"

from ifa_jax.runtime import distributed
from ifa_jax.training.fault_tolerance.preemption import Preemption


def main():
  distributed.join()
  with Preemption() as heard:
    for step in itertools.count(1):
      if heard.reached(step):
        break
      if step == 1:
        print("ready", flush=True)
      time.sleep(float(sys.argv[1]))
  print(step, flush=True)


if __name__ == "__main__":
  main()
