"""The cores and the memory of this machine that the process may use."""

import math
import os
import pathlib
from collections.abc import Iterator

import psutil

# Linux's control groups, of version 2 or 1.
_ROOT = pathlib.Path("/sys/fs/cgroup")
_FILES = (
  ("memory.max", "memory.current", "inactive_file"),
  ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def num_cores() -> int:
  """Returns the number of cores that this process may use."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def free_memory() -> int:
  """Returns the bytes that this process may still take.

  Containers and SLURM give a group of processes less than the machine has, and
  kill a process that takes more.
  """
  try:
    lines = pathlib.Path("/proc/self/cgroup").read_text().splitlines()
  except OSError:  # No Linux.
    lines = []
  left = [left_in(group) for group in groups(lines, _ROOT)]
  return int(min([psutil.virtual_memory().available, *left]))


def groups(lines: list[str], root: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields the folders of this process's groups and of those around them.

  Args:
    lines: of /proc/self/cgroup, "0::/job" or "4:memory:/job".
    root: of the folders.
  """
  for line in lines:
    _, controllers, path = line.split(":", 2)
    if controllers and "memory" not in controllers.split(","):
      continue
    base = root / "memory" if controllers else root
    # In a container, the base may be the group itself.
    own = base / path.lstrip("/")
    yield from (x for x in (own, *own.parents) if x.is_relative_to(base))


def left_in(group: pathlib.Path) -> float:
  """Returns the bytes left in a group, infinity without a limit."""
  for limit, used, dropped in _FILES:
    try:
      most, now = (int((group / x).read_text()) for x in (limit, used))
      lines = (group / "memory.stat").read_text().splitlines()
      stat = dict(line.split() for line in lines)
    except (OSError, ValueError):  # No such file, or "max".
      continue
    # The kernel drops copies of files before it kills a process.
    return most - now + int(stat[dropped])
  return math.inf
