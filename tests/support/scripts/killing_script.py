"""Runs command lines in forks of one process, and kills them on their way.

Reads requests from standard input, a JSON object a line, and answers each with
one. A request has `argv`, a Python file first; it may have `renames`, the
number of the first call to rename a file or folder that is not made any more,
or `seconds`, when the process is sent `signal` (SIGKILL). The answer has the
`status`, how many `renames` were begun, the `seconds`, and standard error.
Arguments of its own are modules that the commands load.
"""

import importlib
import itertools
import json
import os
import runpy
import signal
import sys
import tempfile
import threading
import time

from ifa_jax.runtime import optional_imports


def kill_at_rename(number, told):
  """Kills this process instead of a call; reports each by a byte."""
  count = itertools.count(1)

  def watched(function):
    def call(*args, **kwargs):
      os.write(told, b".")
      if next(count) == number:
        os.kill(os.getpid(), signal.SIGKILL)
      return function(*args, **kwargs)

    return call

  os.rename, os.replace = watched(os.rename), watched(os.replace)


def execute(argv, number, told, error):
  """Runs a command line as `python FILE ARGUMENTS` would; does not return."""
  os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
  os.dup2(error.fileno(), 2)
  kill_at_rename(number, told)
  sys.argv = argv
  runpy.run_path(argv[0], run_name="__main__")
  sys.exit()


def answer(argv, renames=None, seconds=None, signal=signal.SIGKILL):
  """Returns the outcome of a request."""
  read, write = os.pipe()
  started = time.monotonic()
  with tempfile.TemporaryFile() as error:
    child = os.fork()
    if not child:
      execute(argv, renames, write, error)
    os.close(write)
    timer = threading.Timer(seconds or 0, os.kill, (child, signal))
    if seconds is not None:
      timer.start()
    # Not reaped before the timer is dealt with: its number stays its own.
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    timer.cancel()
    if seconds is not None:
      timer.join()
    _, status = os.waitpid(child, 0)
    error.seek(0)
    with os.fdopen(read, "rb") as told:
      return {
        "status": os.waitstatus_to_exitcode(status),
        "renames": len(told.read()),
        "seconds": time.monotonic() - started,
        "err": error.read().decode(),
      }


if __name__ == "__main__":
  # Otherwise each fork takes seconds to tear down unused modules.
  with optional_imports.uncollected():
    for name in sys.argv[1:]:
      importlib.import_module(name)
  for line in sys.stdin:
    print(json.dumps(answer(**json.loads(line))), flush=True)
