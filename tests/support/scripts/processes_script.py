"""Runs as one of several processes, for `test_processes`; prints JSON.

Reads {"cases": [...], "apart": [a folder for each process]} from standard
input. A case is a run to train: workdir, a config for each process, and the
number of the step that it is stopped at, if any.
"""

import json
import os
import sys

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import tiny_run
import whole_run

from ifa_jax.runtime import collectives, distributed, split_state
from ifa_jax.training import loop
from ifa_jax.training.metric_writer import Meter

# Splits even the arrays of a tiny model.
split_state.LEAST = 1


def fails(function, *args):
  """Returns the message of the mistake that a function finds, or None."""
  try:
    function(*args)
  except ValueError as error:
    return str(error)


def run(case):
  config = case["configs"][collectives.index() % len(case["configs"])]
  built, workdir = tiny_run.build(config), case["workdir"]
  if case["stop"]:
    whole_run.run_until_stopped(built, workdir, Meter, "add", case["stop"])
  else:
    loop.run(built, workdir)


def main():
  distributed.join()
  asked = json.load(sys.stdin)
  report = {
    "processes": [collectives.count(), collectives.index(), jax.device_count()],
    "failures": {
      name: fails(run, case) for name, case in asked["cases"].items()
    },
    "apart": fails(
      collectives.check_shared, asked["apart"][collectives.index()]
    ),
  }
  print(f"\n{json.dumps(report)}")


if __name__ == "__main__":
  main()
