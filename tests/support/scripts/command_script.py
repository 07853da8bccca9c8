"""Runs command lines in forks of one process, since imports take seconds.

Reads a JSON list of argument lists, a Python file first in each, from standard
input; prints a JSON list of [exit status, standard output, standard error].
Arguments of its own are modules that all the commands load.
"""

import gc
import importlib
import json
import os
import runpy
import sys
import tempfile

# Loaded once, before the forks.
from ml_collections import config_flags  # noqa: F401

from ifa_jax.cli import app  # noqa: F401


def run(argv):
  """Returns what a command line gives, run as `python FILE ARGUMENTS` would."""
  with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
    child = os.fork()
    if not child:
      os.dup2(out.fileno(), 1)
      os.dup2(err.fileno(), 2)
      sys.argv = argv
      runpy.run_path(argv[0], run_name="__main__")
      sys.exit()
    _, status = os.waitpid(child, 0)
    out.seek(0)
    err.seek(0)
    texts = out.read().decode(), err.read().decode()
    return os.waitstatus_to_exitcode(status), *texts


if __name__ == "__main__":
  for name in sys.argv[1:]:
    importlib.import_module(name)
  # Else each fork takes seconds to take down what it never used.
  gc.freeze()
  print(json.dumps([run(argv) for argv in json.load(sys.stdin)]))
