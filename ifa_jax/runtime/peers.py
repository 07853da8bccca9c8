"""Ends this process with one line if another process of its run is gone.

JAX aborts with a stack trace, from a thread that Python cannot reach: after 100
s without a heartbeat, and at once if the connection to process 0 ends. So each
process renews a sign of life in JAX's store, faster than that, and connects to
process 0 through a relay of its own, which notices the end first.
"""

import atexit
import contextlib
import itertools
import os
import socket
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
_is_ending = threading.Event()
# Held by the thread that ends the process.
_last_word = threading.Lock()
_watchers: list[threading.Thread] = []


def relay(address: str) -> str:
  """Returns an address of this machine that leads to process 0.

  Args:
    address: HOST:PORT, where process 0 listens.
  """
  listener = socket.create_server(("127.0.0.1", 0))
  _start(_accept, listener, address)
  return f"127.0.0.1:{listener.getsockname()[1]}"


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
        f"process {silent}: expected a sign of life every"
        f" {SECONDS_BETWEEN_SIGNS} s, got none for {SECONDS_OF_SILENCE} s"
      )


def _accept(listener: socket.socket, address: str) -> None:
  host, port = address.rsplit(":", 1)
  while True:
    ours, _ = listener.accept()
    try:
      theirs = socket.create_connection((host.strip("[]"), int(port)))
    except OSError:
      # JAX tries again.
      ours.close()
      continue
    _start(_copy, ours, theirs)
    _start(_copy_from_first, theirs, ours, address)


def _copy(source: socket.socket, target: socket.socket) -> None:
  """Copies until the connection ends at one side."""
  with contextlib.suppress(OSError):
    while data := source.recv(1 << 16):
      target.sendall(data)


def _copy_from_first(
  theirs: socket.socket, ours: socket.socket, address: str
) -> None:
  """Copies until process 0 is gone, and ends before JAX notices that."""
  _copy(theirs, ours)
  if not _is_ending.is_set():
    _end(
      f"process 0: expected a connection to {address} until the end of the run,"
      " got one that was closed"
    )
  ours.close()


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
