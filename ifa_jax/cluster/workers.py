"""Work that actors do, and functions that run on any core."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any

_log = logging.getLogger("ifa_jax")
# Ray Data takes minutes for more.
_MAX_TASKS = 10_000

# Returns a JSON value for one. Loaded once by each worker.
Job = Callable[[Any], Any]


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

  def run(self, load: Callable[[], Job], items: Sequence[Any]) -> Iterator[Any]:
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
    self, load: Callable[[], Job], folder: str, each: dict[str, int]
  ):
    if "num_cpus" in each:
      # The size of XLA's pool of threads. PyTorch's is set by Ray.
      os.environ["NPROC"] = str(each["num_cpus"])
    self._warnings: list[tuple[str, str]] = []
    _log.addHandler(_Collector(self._warnings))
    self._job = self._error = None
    # An actor whose start fails would be started again and again.
    try:
      os.chdir(folder)
      self._job = load()
    except (ValueError, OSError) as error:
      self._error = str(error)

  def __call__(self, row: dict[str, str]) -> dict[str, str]:
    """Does the work on an item."""
    error, result = self._error, None
    try:
      result = self._job and self._job(json.loads(row["item"]))
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
