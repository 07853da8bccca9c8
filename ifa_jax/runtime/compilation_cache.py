"""Keeps what is compiled, so that the next start of a command loads it.

Commands do this, the library does not: whoever imports it keeps their settings
of JAX. The folder is the user's cache folder, `~/.cache/ifa_jax` on Linux;
`JAX_COMPILATION_CACHE_DIR=DIR` names another, and
`JAX_ENABLE_COMPILATION_CACHE=false` keeps nothing.
"""

import hashlib
import logging
import os
import pathlib
import platform
import shutil
import sys
from typing import Any

import filelock
import platformdirs

_log = logging.getLogger("ifa_jax")

_FOLDER, _SWITCH = "jax_compilation_cache_dir", "jax_enable_compilation_cache"
# Of our own folder, in bytes; a full-size update on a CPU takes 3 MB.
_SIZE, _MAX_SIZE = "jax_compilation_cache_max_size", 500_000_000
_SETTINGS = {
  # Seconds. Each write looks at all that is there, so what compiles sooner
  # does not pay.
  "jax_persistent_cache_min_compile_time_secs": 0.05,
}
_OFF = ("false", "f", "no", "n", "off", "0")
# What XLA compiles for: an executable of another CPU may stop with an illegal
# instruction.
_CPU_KEYS = ("vendor_id", "cpu family", "model", "flags", "Features")


def keep_executables() -> None:
  """Has JAX keep what this process compiles, and look there before.

  A folder that cannot be written is told and passed over. What the environment
  sets stays.
  """
  if os.environ.get(_SWITCH.upper(), "true").lower() in _OFF:
    return
  if _FOLDER.upper() not in os.environ:
    folder = default_folder()
    try:
      _prepare(folder)
    except (OSError, ValueError) as error:
      _log.info("Nothing that is compiled is kept: %s", error)
      return
    _set(_FOLDER, str(folder))
    _set(_SIZE, _MAX_SIZE)
  for name, value in _SETTINGS.items():
    _set(name, value)


def default_folder() -> pathlib.Path:
  """Returns where this machine's executables lie, if nothing else is said."""
  digest = hashlib.sha256(describe_cpu().encode()).hexdigest()
  return platformdirs.user_cache_path("ifa_jax") / f"xla-{digest[:12]}"


def describe_cpu(path: str = "/proc/cpuinfo") -> str:
  """Returns what distinguishes the instructions of one CPU from another's.

  Args:
    path: Linux's description of its processors; elsewhere there is none.
  """
  found = [platform.machine(), platform.processor()]
  try:
    with open(path, encoding="utf-8") as file:
      first = file.read().split("\n\n")[0]
  except OSError:
    return "\n".join(found)
  for line in first.splitlines():
    key, _, value = line.partition(":")
    if key.strip() in _CPU_KEYS:
      found.append(" ".join(sorted(value.split())))
  return "\n".join(found)


def _prepare(folder: pathlib.Path) -> None:
  """Makes a cache folder and removes what killed processes left half written.

  Raises:
    OSError: if it cannot be written.
    ValueError: if its disk is full.
  """
  folder.mkdir(parents=True, exist_ok=True)
  free = shutil.disk_usage(folder).free
  if free < _MAX_SIZE:
    raise ValueError(f"{folder}: want {_MAX_SIZE} bytes free, found {free}")
  # JAX's own lock (jax/_src/lru_cache.py). The time of the last use is written
  # behind an executable; without, JAX could neither load nor replace it.
  with filelock.FileLock(folder / ".lockfile", timeout=10):
    for path in folder.glob("*-cache"):
      if not path.with_name(f"{path.name[:-6]}-atime").exists():
        path.unlink()


def _set(name: str, value: Any) -> None:
  """Sets what JAX reads when it is loaded, and now if it is loaded already."""
  if name.upper() in os.environ:
    return
  os.environ[name.upper()] = str(value)
  if "jax" in sys.modules:
    sys.modules["jax"].config.update(name, value)
