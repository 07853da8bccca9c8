"""Passes connections on to process 0 of a run; a program of its own.

JAX waits for process 0 with Python's lock held, so no thread of the same
process could pass its messages on. Started by `peers.relay`; needs no package.
It prints the port that it listens at, and a line when process 0 is gone, before
JAX can notice that. It ends with the process that started it.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

# How long JAX is kept from noticing: longer than its process takes to end.
_SECONDS_TO_END = 20


def main(address: str) -> None:
  """Relays until standard input ends.

  Args:
    address: HOST:PORT of process 0.
  """
  # The run handles these.
  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
  listener = socket.create_server(("127.0.0.1", 0))
  print(listener.getsockname()[1], flush=True)
  _start(_accept, listener, address)
  sys.stdin.buffer.read()
  os._exit(0)


def _start(function: Any, *args: Any) -> None:
  threading.Thread(target=function, args=args, daemon=True).start()


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
    _start(_copy_from_first, theirs, ours)


def _copy(source: socket.socket, target: socket.socket) -> None:
  """Copies until the connection ends at one side."""
  with contextlib.suppress(OSError):
    while data := source.recv(1 << 16):
      target.sendall(data)


def _copy_from_first(theirs: socket.socket, ours: socket.socket) -> None:
  _copy(theirs, ours)
  print("gone", flush=True)
  time.sleep(_SECONDS_TO_END)
  ours.close()


if __name__ == "__main__":
  main(sys.argv[1])
