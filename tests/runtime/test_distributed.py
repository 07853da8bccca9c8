"""A process connects only if flags or a cluster name other processes."""

import socket

import pytest

from ifa_jax.runtime import distributed

EXPLICIT = {
  "coordinator_address": "localhost:1234",
  "num_processes": 4,
  "process_id": 0,
}
SLURM = {
  "SLURM_JOB_ID": "7",
  "SLURM_NTASKS": "4",
  "SLURM_STEP_NUM_TASKS": "4",
  "SLURM_STEP_NUM_NODES": "4",
}


@pytest.fixture(name="calls")
def calls_of_initialize(monkeypatch):
  """Unsets all variables of clusters, and records the calls of JAX."""
  for name in (
    *distributed.VARIABLES.values(),
    *SLURM,
    "OMPI_COMM_WORLD_SIZE",
    "JOB_COMPLETION_INDEX",
    "TPU_ML_PLATFORM",
  ):
    monkeypatch.delenv(name, raising=False)
  calls = []

  def initialize(**settings):
    del settings["initialization_timeout"], settings["shutdown_timeout_seconds"]
    calls.append(settings)

  monkeypatch.setattr(distributed.jax.distributed, "initialize", initialize)
  monkeypatch.setattr(distributed.peers, "watch", lambda: None)
  return calls


def setenv(monkeypatch, variables):
  for name, value in variables.items():
    monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
  "variables",
  [
    {},
    SLURM | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"},
    # A batch script without srun is one process of an allocation for many.
    {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"},
    {"OMPI_COMM_WORLD_SIZE": "1"},
    {"JAX_NUM_PROCESSES": "1"},
    SLURM | {"JAX_NUM_PROCESSES": "1"},
    {"TPU_ML_PLATFORM": "JAX", "JAX_PLATFORMS": "cpu"},
    # The pods of a sweep, each a run of its own.
    {"JOB_COMPLETION_INDEX": "3"},
  ],
)
def test_a_single_process_does_not_connect(calls, monkeypatch, variables):
  setenv(monkeypatch, variables)
  distributed.join()
  assert calls == []


@pytest.mark.parametrize(
  ("variables", "devices"),
  [
    # All devices of a node with one task.
    (SLURM, []),
    (SLURM | {"SLURM_STEP_NUM_NODES": "2"}, None),
    ({"OMPI_COMM_WORLD_SIZE": "2"}, None),
    ({"TPU_ML_PLATFORM": "JAX", "JAX_PLATFORMS": "tpu,cpu"}, None),
  ],
)
def test_a_cluster_is_left_to_jax(calls, monkeypatch, variables, devices):
  setenv(monkeypatch, variables)
  distributed.join()
  assert calls == [{"local_device_ids": devices}]


def test_flags_win_over_variables_and_both_over_a_cluster(calls, monkeypatch):
  explicit = {
    distributed.VARIABLES[name]: str(value) for name, value in EXPLICIT.items()
  }
  setenv(monkeypatch, SLURM | explicit)
  distributed.join()
  distributed.join(num_processes=2)
  off = {"cluster_detection_method": "deactivate"}
  assert calls == [EXPLICIT | off, EXPLICIT | off | {"num_processes": 2}]


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"process_id": None},
      r"--coordinator_address, .*: expected --process_id \(JAX_PROCESS_ID\) as",
    ),
    (
      {"coordinator_address": None, "num_processes": None},
      r"expected --coordinator_address \(.*\) and --num_processes \(.*\) as",
    ),
    ({"coordinator_address": "here"}, "expected HOST:PORT, got here"),
    ({"process_id": 4}, "--process_id: expected 0 to 3 .* got 4"),
  ],
)
def test_settings_that_describe_no_process_are_refused(calls, changes, message):
  with pytest.raises(ValueError, match=message):
    distributed.join(**(EXPLICIT | changes))
  assert calls == []


def test_a_variable_that_is_no_number_is_named(calls, monkeypatch):
  monkeypatch.setenv("JAX_PROCESS_ID", "first")
  with pytest.raises(
    ValueError, match="JAX_PROCESS_ID: expected a whole number"
  ):
    distributed.join()


def test_a_process_waits_for_the_first_to_listen(calls, monkeypatch):
  with socket.socket() as listener:
    listener.bind(("localhost", 0))
    address = f"localhost:{listener.getsockname()[1]}"
    others = EXPLICIT | {"coordinator_address": address, "process_id": 1}
    monkeypatch.setattr(distributed, "SECONDS_TO_START", 0)
    with pytest.raises(
      ValueError, match=f"{address}: expected process 0 to listen"
    ):
      distributed.join(**others)
    assert calls == []
    listener.listen()
    distributed.join(**others)
  assert calls[0]["process_id"] == 1


def test_an_error_of_jax_becomes_one_line(calls, monkeypatch):
  def fail(**_):
    raise RuntimeError("no coordinator\nand a long story")

  monkeypatch.setattr(distributed.jax.distributed, "initialize", fail)
  wanted = "the processes of the run did not connect: no coordinator; see"
  with pytest.raises(ValueError, match=wanted):
    distributed.join(**EXPLICIT)
