"""Trains as one of several processes, for `test_interrupted_processes`.

Arguments: a file of the run's config, and its folder.
"""

import json
import pathlib
import sys

import tiny_run

from ifa_jax.runtime import distributed, peers
from ifa_jax.training import loop


def main():
  # Signs are awaited for a shorter time than by users.
  peers.SECONDS_BETWEEN_SIGNS, peers.SECONDS_OF_SILENCE = 0.5, 8
  distributed.join()
  config = json.loads(pathlib.Path(sys.argv[1]).read_text())
  with peers.explained():
    loop.run(tiny_run.build(config), sys.argv[2])


if __name__ == "__main__":
  main()
