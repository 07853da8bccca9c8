"""Work on the machines of a Ray cluster, or on all cores and GPUs of this one.

[Ray](https://docs.ray.io) schedules the work: its actors load a model once
each, and are replaced when they die. All machines need this package and the
same files under the same paths. Ray is the extra `ray`; it is imported only by
commands with `--ray`.
"""

import contextlib
import importlib
import json
import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from absl import flags

from ifa_jax.runtime import optional_imports

# --help lists the flag as one of the module that runs.
flags.disclaim_key_flags()

_log = logging.getLogger("ifa_jax")
_LOCAL = "local"
_SECONDS_TO_CONNECT = 10
# Only descriptions of work and results are in it.
_OBJECT_STORE_BYTES = 200_000_000
# Ray Data takes minutes for more.
_MAX_TASKS = 10_000
# Set before Ray is imported; values that are set already win.
_VARIABLES = {
  "RAY_USAGE_STATS_ENABLED": "0",
  "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
  # Its C++ part prints advice on standard error.
  "RAY_BACKEND_LOG_LEVEL": "fatal",
}

# Returns a JSON value for one. Loaded once by each worker.
Work = Callable[[Any], Any]


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
  """Parses the address for `connected`; None for --noray."""

  def parse(self, argument: str) -> str | None:
    if not argument:
      raise ValueError("expected --ray or --ray=HOST:PORT, got --ray=")
    return {"true": _LOCAL, "false": None}.get(argument, argument)


@contextlib.contextmanager
def connected(address: str) -> Generator["Cluster"]:
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
      "num_cpus": len(os.sched_getaffinity(0)),
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


@contextlib.contextmanager
def _quiet_stderr() -> Generator[None]:
  """Hides what C++ prints; it says that it prints only what is fatal."""
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
  host, port = found[1].strip("[]"), int(found[2])
  try:
    socket.create_connection((host, port), _SECONDS_TO_CONNECT).close()
  except (OSError, OverflowError) as error:
    raise ValueError(
      f"--ray: expected a Ray cluster at {address}, got none ({error})"
    ) from None


def _first_line(error: Exception) -> str:
  return str(error).strip().partition("\n")[0] or type(error).__name__


class Cluster(Executor):
  """Runs work on all machines.

  `submit` runs a function on one core, again if its process dies.
  """

  def __init__(self, ray: Any, is_fixed: bool):
    """Takes the connected module; `is_fixed`: no machines are ever added."""
    self._ray = ray
    self._is_fixed = is_fixed
    found = ray.cluster_resources()
    # A GPU is used by one process.
    kind = "GPU" if found.get("GPU") else "CPU"
    self._num_workers = max(1, int(found.get(kind, 1)))
    self._each = {f"num_{kind.lower()}s": 1}

  def submit(
    self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
  ) -> Future[Any]:
    """See `concurrent.futures.Executor`."""
    task = self._ray.remote(num_cpus=1)(_run_in_folder)
    return task.remote(os.getcwd(), fn, args, kwargs).future()

  def run(
    self, load: Callable[[], Work], items: Sequence[Any]
  ) -> Iterator[Any]:
    """Yields the result of each item, in the order in which they are done.

    The work on an item whose worker dies is done again by another one.

    Args:
      load: called once by each worker; can be pickled, by reference where it is
        a function of a module.
      items: JSON values.

    Raises:
      ValueError: if `load` or the work on an item raises ValueError or OSError.
    """
    if not items:
      return
    data = self._ray.data
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    rows = data.from_items(
      [{"item": json.dumps(item)} for item in items],
      override_num_blocks=min(len(items), _MAX_TASKS),
    )
    least = min(len(items), self._num_workers)
    most = least if self._is_fixed else None
    # By default, Ray Data restarts actors and their tasks without a limit.
    results = rows.map(
      _Worker,
      fn_constructor_args=(load, os.getcwd(), self._each),
      compute=data.ActorPoolStrategy(min_size=least, max_size=most),
      **self._each,
    )
    yield from map(_Results(), results.iter_rows())


class _Results:
  """Unpacks results, and logs each kind of warning once."""

  def __init__(self):
    self._logged: set[str] = set()

  def __call__(self, row: dict[str, str]) -> Any:
    if row["error"]:
      raise ValueError(row["error"])
    for kind, message in json.loads(row["warnings"]):
      if kind not in self._logged:
        _log.warning("%s", message)
      self._logged.add(kind)
    return json.loads(row["result"])


class _Worker:
  """An actor, which loads the work when it starts."""

  def __init__(
    self, load: Callable[[], Work], folder: str, each: dict[str, int]
  ):
    if "num_cpus" in each:
      # The size of XLA's pool of threads. PyTorch's is set by Ray.
      os.environ["NPROC"] = str(each["num_cpus"])
    self._warnings: list[tuple[str, str]] = []
    _log.addHandler(_Collector(self._warnings))
    self._work = self._error = None
    # An actor whose start fails would be started again and again.
    try:
      os.chdir(folder)
      self._work = load()
    except (ValueError, OSError) as error:
      self._error = str(error)

  def __call__(self, row: dict[str, str]) -> dict[str, str]:
    """Does the work on an item."""
    error, result = self._error, None
    try:
      result = self._work and self._work(json.loads(row["item"]))
    except (ValueError, OSError) as raised:
      error = str(raised) or type(raised).__name__
    warnings = json.dumps(self._warnings)
    self._warnings.clear()
    return {
      "result": json.dumps(result),
      "error": error or "",
      "warnings": warnings,
    }


class _Collector(logging.Handler):
  """Keeps warnings as (message without its values, message)."""

  def __init__(self, kept: list[tuple[str, str]]):
    super().__init__(logging.WARNING)
    self._kept = kept

  def emit(self, record: logging.LogRecord) -> None:
    self._kept.append((str(record.msg), record.getMessage()))


def _run_in_folder(
  folder: str,
  function: Callable[..., Any],
  args: tuple[Any, ...],
  kwargs: dict[str, Any],
) -> Any:
  os.chdir(folder)
  return function(*args, **kwargs)
