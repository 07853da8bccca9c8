"""Connects the processes of a run: by flags, or as its cluster describes them.

JAX itself knows TPU pods, SLURM, Open MPI and Kubernetes; see
docs.jax.dev/en/latest/multi_process.html. It takes every process in a cluster
for one of several, and a single one then waits or fails, so this module decides
first whether there are others.
"""

import importlib.util
import logging
import os
import re
import socket
import time
from typing import Any

import jax

from ifa_jax.runtime import collectives, peers

# Variable that is read if a flag of `launch.py` is not given.
VARIABLES = {
  "coordinator_address": "JAX_COORDINATOR_ADDRESS",
  "num_processes": "JAX_NUM_PROCESSES",
  "process_id": "JAX_PROCESS_ID",
}
# Pods of one job start at different times: some still load their image.
SECONDS_TO_START = 300
# How long a process that ends waits for the others. All of them end at once,
# unless one has failed; `peers` ends the others before this time.
_SECONDS_TO_END = 60

_log = logging.getLogger("ifa_jax")


def join(**flags: str | int | None) -> None:
  """Connects this process with the others of its run, if there are others.

  Must be called before JAX is asked for its devices. Without any setting, JAX
  asks the cluster. A single process makes no connection.

  Args:
    **flags: `coordinator_address`, HOST:PORT of process 0; `num_processes`, 1
      for a single process anywhere; `process_id`, from 0. `VARIABLES` replace
      those that are None.

  Raises:
    ValueError: for incomplete or impossible settings, or if the processes
      cannot connect.
  """
  given = _given(flags)
  if given.get("num_processes") == 1:
    return
  if given:
    _check(given)
    address = given["coordinator_address"]
    if given["process_id"]:
      _wait_for_listener(address)
      given["coordinator_address"] = peers.relay(address)
    else:
      _log.info("Waiting for the other processes at %s", address)
    _connect(given | {"cluster_detection_method": "deactivate"})
  elif _has_neighbours():
    # JAX gives each SLURM task one GPU; the only task of a node uses all: [].
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS")
    one_a_node = tasks and tasks == os.environ.get("SLURM_STEP_NUM_NODES")
    _connect({"local_device_ids": [] if one_a_node else None})
  if not collectives.is_first():
    _log.setLevel(logging.ERROR)


def _given(flags: dict[str, str | int | None]) -> dict[str, Any]:
  """Returns the settings that flags or variables give."""
  given: dict[str, Any] = {}
  for name, variable in VARIABLES.items():
    flag = flags.get(name)
    value = os.environ.get(variable) if flag is None else flag
    if value is None:
      continue
    try:
      given[name] = value if name == "coordinator_address" else int(value)
    except ValueError:
      raise ValueError(
        f"{variable}: expected a whole number, got {value!r}"
      ) from None
  return given


def _check(given: dict[str, Any]) -> None:
  missing = [name for name in VARIABLES if name not in given]
  if missing:
    wanted = " and ".join(f"--{name} ({VARIABLES[name]})" for name in missing)
    raise ValueError(f"--{', --'.join(given)}: expected {wanted} as well")
  address = given["coordinator_address"]
  if not re.fullmatch(r".+:\d+", address):
    raise ValueError(
      f"--coordinator_address: expected HOST:PORT, got {address}"
    )
  number, total = given["process_id"], given["num_processes"]
  if not 0 <= number < total:
    raise ValueError(
      f"--process_id: expected 0 to {total - 1} (--num_processes={total}), got"
      f" {number}"
    )


def _wait_for_listener(address: str) -> None:
  """Waits until process 0 listens; JAX would abort without a message."""
  host, port = address.rsplit(":", 1)
  end = time.monotonic() + SECONDS_TO_START
  while True:
    try:
      socket.create_connection((host.strip("[]"), int(port)), 5).close()
      return
    except OSError as error:
      if time.monotonic() > end:
        raise ValueError(
          f"{address}: expected process 0 to listen there, got no answer within"
          f" {SECONDS_TO_START} s ({error})"
        ) from None
    time.sleep(0.5)


def _has_neighbours() -> bool:
  """Returns whether the cluster's variables allow for more than one process."""
  variables = os.environ
  for count in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"):
    if int(variables.get(count, 1)) > 1:
      return True
  # Set by JAX where it finds the chips of a TPU.
  if variables.get("TPU_ML_PLATFORM") == "JAX":
    return "tpu" in variables.get("JAX_PLATFORMS", "tpu")
  # JAX asks Kubernetes through this client; otherwise `VARIABLES` are used.
  has_client = importlib.util.find_spec("kubernetes") is not None
  return "JOB_COMPLETION_INDEX" in variables and has_client


def _connect(settings: dict[str, Any]) -> None:
  try:
    jax.distributed.initialize(
      initialization_timeout=SECONDS_TO_START,
      shutdown_timeout_seconds=_SECONDS_TO_END,
      **settings,
    )
  except (RuntimeError, ValueError) as error:
    reason = str(error).partition("\n")[0]
    raise ValueError(
      f"the processes of the run did not connect: {reason}; see docs/pods.md"
    ) from None
  peers.watch()
