"""Memory that a CPU computes in: kept from one step to the next.

An update of full size takes gigabytes for what lies between its layers, and
frees them. The C library gives so large a piece back to the system, which
clears every page of it at the next step: some per cent of the step's time.
"""

import ctypes
import sys

# <malloc.h>. No piece is a mapping of its own, what is free stays at any size,
# and threads share one arena: those of their own end at 64 MiB.
_SETTINGS = {-4: 0, -1: -1, -8: 1}


def keep_freed_memory() -> bool:
  """Lets the process keep what it frees, for what it allocates next.

  To be called before numpy or JAX is imported: threads that they start have
  arenas of their own, which others share.

  Returns:
    Whether the C library could be told to: glibc can.
  """
  if not sys.platform.startswith("linux"):
    return False
  mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
  return mallopt is not None and all(
    mallopt(*setting) for setting in _SETTINGS.items()
  )
