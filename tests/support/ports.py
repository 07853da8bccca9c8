"""Ports of this machine, for tests that serve something."""

import socket


def free_port():
  """Returns one that nothing listens to."""
  with socket.create_server(("127.0.0.1", 0)) as probe:
    return probe.getsockname()[1]
