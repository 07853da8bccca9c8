"""Keeps compiled code on disk, so that the next start of a command loads it.

Only commands enable this; importing the library changes no setting of JAX. The
folder is in the user's cache folder, `~/.cache/ifa_jax` on Linux.
`JAX_COMPILATION_CACHE_DIR=DIR` selects another one and
`JAX_ENABLE_COMPILATION_CACHE=false` disables the cache.
"""

import hashlib
import logging
import os
import pathlib
import platform
import shutil
import sys

import filelock
import platformdirs

_log = logging.getLogger("ifa_jax")

_FOLDER, _SWITCH = "jax_compilation_cache_dir", "jax_enable_compilation_cache"
# Limit of our own folder, in bytes; a full-size update on a CPU takes 3 MB.
_SIZE, _MAX_SIZE = "jax_compilation_cache_max_size", 500_000_000
# In seconds. Every write lists the whole folder, which costs more than
# compiling a program that is faster than this.
_SECONDS, _LEAST_SECONDS = "jax_persistent_cache_min_compile_time_secs", 0.05
_OFF = ("false", "f", "no", "n", "off", "0")
# Lines of /proc/cpuinfo that determine the instructions XLA may emit: code that
# was compiled for another CPU may stop with an illegal instruction.
_CPU_KEYS = ("vendor_id", "cpu family", "model", "flags", "Features")


def keep_executables() -> None:
  """Enables JAX's compilation cache for this process.

  If the folder cannot be written, this is logged and nothing is kept. Variables
  of the environment win.
  """
  if os.environ.get(_SWITCH.upper(), "true").lower() in _OFF:
    return
  settings: dict[str, float | str] = {_SECONDS: _LEAST_SECONDS}
  if _FOLDER.upper() not in os.environ:
    folder = default_folder()
    try:
      _prepare(folder)
    except (OSError, ValueError) as error:
      _log.info("Compiled code is not kept: %s", error)
      return
    settings |= {_FOLDER: str(folder), _SIZE: _MAX_SIZE}
  for name, value in settings.items():
    if name.upper() not in os.environ:
      # JAX reads the environment when it is loaded, and later its config.
      os.environ[name.upper()] = str(value)
      if "jax" in sys.modules:
        sys.modules["jax"].config.update(name, value)


def default_folder() -> pathlib.Path:
  """Returns the cache folder of this machine's kind of CPU."""
  digest = hashlib.sha256(describe_cpu().encode()).hexdigest()
  return platformdirs.user_cache_path("ifa_jax") / f"xla-{digest[:12]}"


def describe_cpu(path: str = "/proc/cpuinfo") -> str:
  """Returns a text that is equal for CPUs with the same instructions.

  Linux describes its processors in a file; other systems have none.
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
  """Creates the folder and removes files that a killed process left in it."""
  folder.mkdir(parents=True, exist_ok=True)
  free = shutil.disk_usage(folder).free
  if free < _MAX_SIZE:
    raise ValueError(f"{folder}: expected {_MAX_SIZE} bytes free, got {free}")
  # JAX's own lock (jax/_src/lru_cache.py). JAX writes the time of the last use
  # after the executable; without it, it can neither load nor replace the entry.
  with filelock.FileLock(folder / ".lockfile", timeout=10):
    for path in folder.glob("*-cache"):
      if not path.with_name(f"{path.name[:-6]}-atime").exists():
        path.unlink()
