"""SIGTERM and Ctrl-C: all progress is saved, and the run resumes from it."""

import os
import signal
import subprocess
import sys
import threading

import command_lines
import ports
import pytest
import whole_run

from ifa_jax.training import loop
from ifa_jax.training.fault_tolerance.preemption import Preemption, StoppedError
from ifa_jax.workdir.checkpoints import Checkpoints

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module", autouse=True)
def ctrl_c_is_heard():
  """Background jobs of a script ignore SIGINT, their children too."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


# Receives SIGINT, reports it, and would go on for a minute.
LISTENER = """
import signal, time
from ifa_jax.training.fault_tolerance.preemption import Preemption
with Preemption() as heard:
  heard.reached(1)
  print("ready", flush=True)
  while not heard.reached(2):
    time.sleep(0.01)
  print("heard", flush=True)
  time.sleep(60)
"""


def run_with_signal(built, workdir, owner, name, step, sent):
  """Trains, and gets a signal when a method is called for a step."""
  function, before = getattr(owner, name), signal.getsignal(sent)

  def signalled(self, *args):
    if step in args:
      if name == "reached":
        # The loop listens from the first time on that it asks.
        function(self, step)
      signal.raise_signal(sent)
    return function(self, *args)

  with pytest.MonkeyPatch.context() as patched:
    patched.setattr(owner, name, signalled)
    with pytest.raises(StoppedError) as stopped:
      loop.run(built, workdir)
  assert signal.getsignal(sent) is before
  return stopped.value.code


def test_a_run_that_is_preempted_anywhere_is_one_that_never_was(
  finished, build, tmp_path
):
  term, ctrl_c = signal.SIGTERM, signal.SIGINT
  reached, scoring = (Preemption, "reached"), (loop.Trainer, "_score_dev")
  # Heard within a window of metrics, at a checkpoint, at the end of an epoch,
  # and while one is scored.
  for where, step, sent in (
    (reached, 1, ctrl_c),
    (reached, 3, term),
    (reached, 4, term),
    (reached, 5, ctrl_c),
    (scoring, 8, term),
  ):
    stopped = run_with_signal(build(), tmp_path, *where, step, sent)
    assert stopped == {term: 143, ctrl_c: 130}[sent]
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
      assert checkpoints.newest == step
    assert not (tmp_path / "eval_test.json").exists()
  loop.run(build(), tmp_path)
  for found, wanted in zip(
    whole_run.outcome(tmp_path),
    whole_run.outcome(finished.workdir),
    strict=True,
  ):
    assert found == wanted


def start(number, total, port, seconds):
  return subprocess.Popen(
    [sys.executable, command_lines.SCRIPTS / "preemption_script.py", seconds],
    env={
      **os.environ,
      "PYTHONPATH": command_lines.PATHS,
      "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
      "JAX_NUM_PROCESSES": str(total),
      "JAX_PROCESS_ID": str(number),
    },
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_all_processes_stop_at_the_step_that_one_hears_a_signal_for(sent):
  port = ports.free_port()
  # One is faster than the other, and it is the slower one that hears.
  started = [start(i, 2, port, s) for i, s in enumerate(("0.01", "0.02"))]
  try:
    for process in started:
      line = process.stdout.readline()
      assert line == "ready\n", process.stderr.read()
    started[1].send_signal(sent)
    ended = [process.communicate(timeout=60) for process in started]
  finally:
    for process in started:
      process.kill()
  assert [process.returncode for process in started] == [0, 0], ended
  first, second = (int(out) for out, _ in ended)
  assert first == second > 1


def test_a_second_ctrl_c_ends_the_process_at_once():
  with subprocess.Popen(
    [sys.executable, "-c", LISTENER],
    cwd=command_lines.ROOT,
    stdout=subprocess.PIPE,
    text=True,
  ) as process:
    for line in ("ready", "heard"):
      assert process.stdout.readline() == f"{line}\n"
      process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == -signal.SIGINT


def test_a_signal_before_the_first_update_does_what_it_did():
  with Preemption(), pytest.raises(KeyboardInterrupt):
    signal.raise_signal(signal.SIGINT)


def test_what_is_ignored_remains_so():
  before = signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    with Preemption() as heard:
      assert not heard.reached(1)
      signal.raise_signal(signal.SIGINT)
      assert not heard.reached(2)
  finally:
    signal.signal(signal.SIGINT, before)


def test_another_thread_hears_nothing():
  answers = []

  def ask():
    with Preemption() as heard:
      answers.append(heard.reached(1))

  before = signal.getsignal(signal.SIGTERM)
  thread = threading.Thread(target=ask)
  thread.start()
  thread.join()
  assert answers == [False]
  assert signal.getsignal(signal.SIGTERM) is before
