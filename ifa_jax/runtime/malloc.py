"""Keeps freed memory in the process, from one step to the next.

A full-size update on a CPU allocates gigabytes of activations and frees them.
The C library would return them to the system, which clears every page at the
next step: some per cent of the step's time.
"""

import ctypes
import sys

# <malloc.h>: M_MMAP_MAX 0 (no separate mappings), M_TRIM_THRESHOLD -1 (never
# trim), M_ARENA_MAX 1 (threads share an arena; their own end at 64 MiB).
_SETTINGS = {-4: 0, -1: -1, -8: 1}


def keep_freed_memory() -> bool:
  """Configures glibc; returns False for other C libraries.

  Must be called before numpy or JAX is imported: they start threads, which
  would get arenas of their own.
  """
  if not sys.platform.startswith("linux"):
    return False
  mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
  return mallopt is not None and all(
    mallopt(*setting) for setting in _SETTINGS.items()
  )
