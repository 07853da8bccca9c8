"""Keeps XLA from code for a CPU that computes wrong numbers.

jaxlib 0.10.2 delegates sums to YNNPACK, which computes a fused product and sum
wrongly beyond 32 768 rows (https://github.com/jax-ml/jax/issues/39103) and
crashes at seven axes. XLA's own sums are right.
"""

import logging
import os
import re
import sys
from typing import Any

_log = logging.getLogger("ifa_jax")

_NAME = "--xla_cpu_experimental_ynn_fusion_type"
OWN_SUMS = f"{_NAME}=-reduce"
# The first version with the fault, and the first one seen without it.
_WRONG, _RIGHT = (0, 10, 2), (0, 11, 2)


def avoid_wrong_sums() -> None:
  """Adds `OWN_SUMS` to XLA_FLAGS if this jaxlib needs it.

  Must be called before JAX starts its backend, which reads the flags once; if
  it is too late, a warning is logged. A value that is set already wins.
  """
  from jaxlib import version

  if not sums_wrongly(version.__version__):
    return
  flags = _read(os.environ.get("XLA_FLAGS", ""))
  if flags is None or _NAME in flags:
    return
  if _backend_runs():
    _log.warning(
      "XLA_FLAGS: expected %s before JAX starts, got a JAX that has started:"
      " jaxlib %s computes some sums wrongly on a CPU; import ifa_jax first",
      OWN_SUMS,
      version.__version__,
    )
    return
  os.environ["XLA_FLAGS"] = f"{flags} {OWN_SUMS}".strip()


def sums_wrongly(version: str) -> bool:
  """Returns whether a version of jaxlib, such as "0.10.2", has the fault."""
  numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:3])
  return _WRONG <= numbers < _RIGHT


def _read(value: str) -> str | None:
  """Returns the flags of XLA_FLAGS, or None if it names a missing file."""
  # XLA takes a value that does not begin with a dash as the name of a file.
  if not value.strip() or value.lstrip().startswith("-"):
    return value
  try:
    with open(value, encoding="utf-8") as file:
      return file.read()
  except OSError:
    return None


def _backend_runs() -> bool:
  # JAX has no public name for this.
  bridge: Any = sys.modules.get("jax._src.xla_bridge")
  return getattr(bridge, "backends_are_initialized", lambda: False)()
