"""Two processes, one of them stopped or killed, continue to the same end."""

import json
import os
import signal
import subprocess
import sys
import time

import command_lines
import pytest
import tiny_run
import whole_run
from ports import free_port

TERM, KILL = signal.SIGTERM, signal.SIGKILL
# 48 updates.
CHANGES = whole_run.TEXT | {
  "train": {"total_epochs": 12},
  "eval": {"batch_size": 8},
}
GONE = {
  0: "error: process 0: expected a connection to localhost:",
  1: "error: process 1: expected a heartbeat every ",
}


@pytest.fixture(scope="module", name="start")
def starter(data_dir, compiled_dir, tmp_path_factory):
  """Starts both processes of a run; none is left at the end."""
  config = tmp_path_factory.mktemp("config") / "config.json"
  config.write_text(json.dumps(tiny_run.tiny_run_config(data_dir, **CHANGES)))
  script = command_lines.SCRIPTS / "training_script.py"
  started = []

  def start(workdir, pause=0):
    port = free_port()
    for number in range(2):
      variables = tiny_run.fast_environment(compiled_dir) | {
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": command_lines.PATHS,
        "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": str(number),
      }
      started.append(
        subprocess.Popen(
          [sys.executable, script, config, workdir, str(pause)],
          env=os.environ | variables,
          stdout=subprocess.DEVNULL,
          stderr=subprocess.PIPE,
          text=True,
        )
      )
    return started[-2:]

  yield start
  for process in started:
    process.kill()
    process.communicate()


def end(processes):
  """Returns the statuses and the messages of processes."""
  messages = [process.communicate(timeout=120)[1] for process in processes]
  return [process.returncode for process in processes], messages


def newest_step(workdir):
  names = [path.name for path in workdir.glob("checkpoints/*")]
  return max((int(name) for name in names if name.isdigit()), default=0)


def interrupt(start, workdir, number, sent):
  """Starts both; sends a signal to one, once there is a new checkpoint."""
  # JAX polls for SIGTERM once a second, about two updates at this pace.
  processes = start(workdir, pause=0.5)
  before, last = newest_step(workdir), time.monotonic() + 120
  while newest_step(workdir) == before:
    assert time.monotonic() < last, end(processes)
    time.sleep(0.01)
  processes[number].send_signal(sent)
  return end(processes)


def test_interrupted_processes_continue_to_the_same_bits(start, tmp_path):
  wanted, found = tmp_path / "wanted", tmp_path / "found"
  statuses, messages = end(start(wanted))
  assert statuses == [0, 0], messages
  statuses, messages = interrupt(start, found, 0, TERM)
  assert statuses == [143, 143], messages
  for number in (0, 1):
    statuses, messages = interrupt(start, found, number, KILL)
    other = 1 - number
    assert statuses[number] == -KILL
    assert statuses[other] == 1
    assert messages[other].splitlines()[-1].startswith(GONE[number])
    for native in ("Traceback", "stack trace", "terminate called"):
      assert native not in messages[other]
  assert newest_step(found) < 48
  statuses, messages = end(start(found))
  assert statuses == [0, 0], messages
  assert whole_run.outcome(found) == whole_run.outcome(wanted)
