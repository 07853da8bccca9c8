"""The flag `--ray`, and the connection to a cluster."""

import contextlib
import importlib
import io
import logging
import os
import re
import socket
import sys
from collections.abc import Generator
from typing import Any

from absl import flags

from ifa_jax.cluster.workers import Cluster
from ifa_jax.runtime import cores, optional_imports

# --help lists the flag as one of the module that runs.
flags.disclaim_key_flags()

_log = logging.getLogger("ifa_jax")
_LOCAL = "local"
_SECONDS_TO_CONNECT = 10
# Only descriptions of work and results are in it.
_OBJECT_STORE_BYTES = 200_000_000
# Set before Ray is imported; values that are set already win.
_VARIABLES = {
  "RAY_USAGE_STATS_ENABLED": "0",
  "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
  # Its C++ part prints advice on standard error.
  "RAY_BACKEND_LOG_LEVEL": "fatal",
}


def define_flag() -> None:
  """Defines `--ray`, alone or with an address."""
  meaning = (
    "Work in parallel by Ray: alone on this machine, --ray=HOST:PORT or"
    " --ray=auto on a cluster."
  )
  parts = (_AddressParser(), flags.ArgumentSerializer(), "ray", None, meaning)
  # A "boolean" flag of absl is one that needs no value.
  flags.DEFINE_flag(flags.Flag(*parts, boolean=True))


class _AddressParser(flags.ArgumentParser):
  """Parses the address for `opened`; None for --noray."""

  def parse(self, argument: str) -> str | None:
    if not argument:
      raise ValueError("expected --ray or --ray=HOST:PORT, got --ray=")
    return {"true": _LOCAL, "false": None}.get(argument, argument)


@contextlib.contextmanager
def opened(address: str) -> Generator[Cluster]:
  """Connects to a cluster, or starts Ray on this machine.

  Raises:
    ValueError: if Ray is not installed, or there is no cluster.
    OSError: if a task could not be done because its machine or process died.
  """
  ray = _import()
  is_ours = not ray.is_initialized()
  if is_ours:
    _init(ray, address)
  # Ray Data configures its log, and later resets it.
  logging.getLogger("ray").setLevel(logging.CRITICAL)
  logging.getLogger("ray.data").setLevel(logging.CRITICAL)
  # Around the shutdown too, which prints messages that Ray has held back.
  with contextlib.redirect_stdout(_Shortened()):
    try:
      yield Cluster(ray, address == _LOCAL)
    except ray.exceptions.RayTaskError:
      raise  # A bug, with its trace.
    except ray.exceptions.RayError as error:
      raise OSError(f"--ray: {_first_line(error)}") from None
    finally:
      if is_ours:
        ray.shutdown()


def _import() -> Any:
  for name, value in _VARIABLES.items():
    os.environ.setdefault(name, value)
  try:
    with optional_imports.uncollected():
      importlib.import_module("ray.data")
      return importlib.import_module("ray")
  except ImportError as error:
    raise ValueError(
      f"--ray: expected the package ray, got none ({error}); install the extra"
      ' ray: pip install ".[ray]"'
    ) from None


def _init(ray: Any, address: str) -> None:
  options: dict[str, Any] = {"address": address}
  if address == _LOCAL:
    options |= {
      "num_cpus": cores.num_cores(),
      "include_dashboard": False,
      "object_store_memory": _OBJECT_STORE_BYTES,
    }
  else:
    _check(address)
  try:
    with _quiet_stderr() if address == _LOCAL else contextlib.nullcontext():
      ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
  except (ConnectionError, RuntimeError, ValueError) as error:
    raise ValueError(
      f"--ray: expected a Ray cluster at {address}, got {_first_line(error)}"
    ) from None


class _Shortened(io.StringIO):
  """Logs the first sentence of Ray's messages, for example of a dead worker.

  They are a paragraph each, and printed on standard output.
  """

  def write(self, text: str) -> int:
    message = re.sub(r"\x1b\[\d+m|\(raylet\)", "", text).strip()
    if message:
      _log.warning("Ray: %s", message.partition(". ")[0])
    return len(text)


@contextlib.contextmanager
def _quiet_stderr() -> Generator[None]:
  """Hides a line of C++: that only fatal errors will be printed."""
  sys.stderr.flush()
  kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
  os.dup2(nothing, 2)
  try:
    yield
  finally:
    os.dup2(kept, 2)
    os.close(kept)
    os.close(nothing)


def _check(address: str) -> None:
  """Checks that something listens; Ray would wait for a minute and abort."""
  found = re.fullmatch(r"(?:ray://)?(.+):(\d{1,5})", address)
  if address == "auto":
    return
  if not found:
    raise ValueError(f"--ray: expected HOST:PORT or auto, got {address!r}")
  machine, port = found[1].strip("[]"), int(found[2])
  try:
    socket.create_connection((machine, port), _SECONDS_TO_CONNECT).close()
  except (OSError, OverflowError) as error:
    raise ValueError(
      f"--ray: expected a Ray cluster at {address}, got none ({error})"
    ) from None


def _first_line(error: Exception) -> str:
  return str(error).strip().partition("\n")[0] or type(error).__name__
