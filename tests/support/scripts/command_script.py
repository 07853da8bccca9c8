"""Runs command lines in forks of one process, since imports take seconds.

Reads a JSON list of argument lists, a Python file first in each, from standard
input; prints a JSON list of [exit status, standard output, standard error].
Arguments of its own are modules that all the commands load.
"""

import atexit
import importlib
import json
import os
import runpy
import sys
import tempfile
import threading

# Loaded once, before the forks.
from ml_collections import config_flags  # noqa: F401

from ifa_jax.cli import app  # noqa: F401
from ifa_jax.runtime import optional_imports


def execute(argv):
  """Runs a command line as `python FILE ARGUMENTS` would; does not return."""
  sys.argv = argv
  try:
    runpy.run_path(argv[0], run_name="__main__")
  except SystemExit as end:
    if not end.code or not isinstance(end.code, int):
      raise
    # A mistake found before anything ran: half a second of tearing down shared
    # modules would show nothing.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(end.code)
  sys.exit()


def run(argv):
  """Returns the outcome of a command line, run as `python FILE ARGUMENTS`."""
  with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
    child = os.fork()
    if not child:
      os.dup2(out.fileno(), 1)
      os.dup2(err.fileno(), 2)
      execute(argv)
    _, status = os.waitpid(child, 0)
    out.seek(0)
    err.seek(0)
    texts = out.read().decode(), err.read().decode()
    return os.waitstatus_to_exitcode(status), *texts


if __name__ == "__main__":
  # Otherwise each fork takes seconds to tear down unused modules.
  with optional_imports.uncollected():
    for name in sys.argv[1:]:
      importlib.import_module(name)
  print(json.dumps([run(argv) for argv in json.load(sys.stdin)]))
