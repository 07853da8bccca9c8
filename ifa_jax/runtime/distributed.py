"""Connects the processes of a run: by flags, or as its cluster describes them.

JAX itself knows TPU pods, SLURM, Open MPI and Kubernetes; see
docs.jax.dev/en/latest/multi_process.html. Here is decided whether there is
anybody to connect to, so that a single process waits for nobody.
"""

import importlib.util
import logging
import os
import re
import socket
import time
from typing import Any

import jax

from ifa_jax.runtime import collectives

# What stands in for a flag of `launch.py` that is not given.
VARIABLES = {
  "coordinator_address": "JAX_COORDINATOR_ADDRESS",
  "num_processes": "JAX_NUM_PROCESSES",
  "process_id": "JAX_PROCESS_ID",
}
# Pods of one job do not start at one moment: some still load their image.
SECONDS_TO_START = 300
# How long a process that ends waits for the others to end. All of them end at
# once, unless one has failed: then the others are told after this.
_SECONDS_TO_END = 30

_log = logging.getLogger("ifa_jax")


def join(
  coordinator_address: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
) -> None:
  """Connects this process with the others of its run, if there are others.

  Must come before JAX is asked for its devices. What is None is taken from
  `VARIABLES`; without any, JAX asks the cluster. A process that is alone there
  makes no connection, and one process (`num_processes=1`) is alone anywhere.

  Args:
    coordinator_address: HOST:PORT, where process 0 listens.
    num_processes: of the whole run.
    process_id: of this one, from 0.

  Raises:
    ValueError: if the settings are incomplete or no such process can be, or the
      cluster does not say enough.
  """
  given = _given(
    coordinator_address=coordinator_address,
    num_processes=num_processes,
    process_id=process_id,
  )
  if given.get("num_processes") == 1:
    return
  if given:
    _check(given)
    address = given["coordinator_address"]
    if given["process_id"]:
      _wait_for_listener(address)
    else:
      _log.info("Waiting for the other processes at %s", address)
    _connect(given | {"cluster_detection_method": "deactivate"})
  elif _has_neighbours():
    _connect({"local_device_ids": _own_devices()})
  if not collectives.is_first():
    _log.setLevel(logging.ERROR)


def _given(**flags: str | int | None) -> dict[str, Any]:
  """Returns the settings that flags or variables give."""
  given: dict[str, Any] = {}
  for name, value in flags.items():
    if value is None:
      value = os.environ.get(VARIABLES[name])
    if value is not None:
      is_number = name != "coordinator_address"
      given[name] = _whole(name, value) if is_number else value
  return given


def _whole(name: str, value: str | int) -> int:
  try:
    return int(value)
  except ValueError:
    raise ValueError(
      f"{VARIABLES[name]}: want a whole number, found {value!r}"
    ) from None


def _check(given: dict[str, Any]) -> None:
  """Raises ValueError unless the settings describe a process of several."""
  missing = [name for name in VARIABLES if name not in given]
  if missing:
    wanted = " and ".join(f"--{name} ({VARIABLES[name]})" for name in missing)
    raise ValueError(f"want {wanted} beside --{', --'.join(given)}")
  address = given["coordinator_address"]
  if not re.fullmatch(r".+:\d+", address):
    raise ValueError(f"--coordinator_address: want HOST:PORT, found {address}")
  number, total = given["process_id"], given["num_processes"]
  if not 0 <= number < total:
    raise ValueError(
      f"--process_id: want 0 to {total - 1}, as --num_processes={total}, found"
      f" {number}"
    )


def _wait_for_listener(address: str) -> None:
  """Waits until process 0 listens; JAX would abort without a word.

  Raises:
    ValueError: if nobody listens in time.
  """
  host, port = address.rsplit(":", 1)
  end = time.monotonic() + SECONDS_TO_START
  while True:
    try:
      socket.create_connection((host.strip("[]"), int(port)), 5).close()
      return
    except OSError as error:
      if time.monotonic() > end:
        raise ValueError(
          f"{address}: want process 0 to listen there, found nobody within"
          f" {SECONDS_TO_START} s ({error})"
        ) from None
    time.sleep(0.5)


def _has_neighbours() -> bool:
  """Whether a cluster says that this process may be one of several."""
  variables = os.environ
  if int(variables.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
    return True
  if int(variables.get("OMPI_COMM_WORLD_SIZE", 1)) > 1:
    return True
  # Set by JAX where it finds the chips of a TPU.
  if variables.get("TPU_ML_PLATFORM") == "JAX":
    return "tpu" in variables.get("JAX_PLATFORMS", "tpu")
  # What JAX asks the cluster with; without it, a manifest sets `VARIABLES`.
  has_client = importlib.util.find_spec("kubernetes") is not None
  return "JOB_COMPLETION_INDEX" in variables and has_client


def _own_devices() -> list[int] | None:
  """Returns the devices that this process is to use: [] all, None as JAX says.

  JAX gives each task of SLURM one GPU, which leaves others idle where a node
  has one task.
  """
  tasks = os.environ.get("SLURM_STEP_NUM_TASKS")
  one_a_node = tasks and tasks == os.environ.get("SLURM_STEP_NUM_NODES")
  return [] if one_a_node else None


def _connect(settings: dict[str, Any]) -> None:
  try:
    jax.distributed.initialize(
      initialization_timeout=SECONDS_TO_START,
      shutdown_timeout_seconds=_SECONDS_TO_END,
      **settings,
    )
  except (RuntimeError, ValueError) as error:
    reason = str(error).splitlines()[0]
    raise ValueError(
      f"the processes of the run did not connect: {reason}; see docs/pods.md"
    ) from None
