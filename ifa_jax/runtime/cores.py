"""The cores of this machine that the process may use."""

import os


def num_cores() -> int:
  """Returns their number."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1
