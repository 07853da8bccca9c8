"""Ends this process with one line if another process of its run is gone.

JAX aborts with a stack trace, from a thread that Python cannot reach: after 100
s without a heartbeat, and at once if the connection to process 0 ends. So each
process renews a heartbeat in JAX's store, faster than that, and connects to
process 0 through a program of its own, `relay`, which notices the end first.
"""

import atexit
import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from typing import Any, NoReturn

# Signs are renewed while a program is compiled or the disk is slow: these
# release Python's lock.
SECONDS_BETWEEN_SIGNS = 3
SECONDS_OF_SILENCE = 30

_SIGNS = "ifa_jax/signs/"
_RELAY = os.path.join(os.path.dirname(__file__), "relay.py")
_is_ending = threading.Event()
# Held by the thread that ends the process.
_last_word = threading.Lock()
_watchers: list[threading.Thread] = []


def relay(address: str) -> str:
  """Returns an address of this machine that leads to process 0.

  Args:
    address: HOST:PORT, where process 0 listens.
  """
  # Isolated, and without site-packages: it starts in some milliseconds.
  command = [sys.executable, "-I", "-S", _RELAY, address]
  program: Any = subprocess.Popen(  # noqa: S603
    command,
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )
  port = program.stdout.readline().strip()
  _start(_await_end, program, address)
  return f"127.0.0.1:{port}"


def watch() -> None:
  """Watches the other processes, once this one is connected, until it ends."""
  # JAX has no public name for this.
  state: Any = sys.modules["jax._src.distributed"].global_state
  _watchers.append(
    _start(_watch, state.client, state.process_id, state.num_processes)
  )
  # JAX leaves the run after this: handlers are called in reverse order.
  atexit.register(_end_watching)


@contextlib.contextmanager
def explained() -> Generator[None]:
  """Waits, if a collective fails, until the process that is gone is known."""
  try:
    yield
  except (RuntimeError, ValueError) as error:
    # Errors of Gloo are ValueErrors, as those of users are.
    failed = isinstance(error, RuntimeError) or "Gloo" in str(error)
    if _watchers and failed:
      # `_watch` ends the process within this time.
      time.sleep(SECONDS_OF_SILENCE + 2 * SECONDS_BETWEEN_SIGNS)
    raise


def _start(function: Any, *args: Any) -> threading.Thread:
  thread = threading.Thread(target=function, args=args, daemon=True)
  thread.start()
  return thread


def _watch(client: Any, own: int, total: int) -> None:
  """Renews the sign of this process, and looks at those of the others."""
  others = {str(number) for number in range(total)} - {str(own)}
  signs = dict.fromkeys(others, "")
  changed = dict.fromkeys(others, time.monotonic())
  for count in itertools.count(1):
    # The store is that of process 0; its end is noticed by the relay.
    with contextlib.suppress(RuntimeError):
      client.key_value_set(f"{_SIGNS}{own}", str(count), allow_overwrite=True)
      for key, sign in client.key_value_dir_get(_SIGNS):
        number = key.rpartition("/")[2]
        if sign != signs.get(number, sign):
          signs[number], changed[number] = sign, time.monotonic()
    if _is_ending.wait(SECONDS_BETWEEN_SIGNS):
      return
    silent = min(others, key=lambda number: (changed[number], int(number)))
    if time.monotonic() - changed[silent] > SECONDS_OF_SILENCE:
      _end(
        f"process {silent}: expected a heartbeat every"
        f" {SECONDS_BETWEEN_SIGNS} s, got none for {SECONDS_OF_SILENCE} s"
      )


def _await_end(program: Any, address: str) -> None:
  """Ends this process once the relay reports that process 0 is gone."""
  if program.stdout.readline() and not _is_ending.is_set():
    _end(
      f"process 0: expected a connection to {address} until the end of the run,"
      " got one that was closed"
    )


def _end_watching() -> None:
  _is_ending.set()
  # A thread must not be in JAX's code when Python ends.
  for thread in _watchers:
    thread.join()


def _end(message: str) -> NoReturn:
  """Ends the process from any thread; does not wait for the others."""
  with _last_word:
    sys.stdout.flush()
    print(
      f"error: {message}; the same command resumes the run",
      file=sys.stderr,
      flush=True,
    )
    os._exit(1)
