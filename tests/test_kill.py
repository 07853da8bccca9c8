"""A process that is killed outright, and started again."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import tiny_run

from configs import quickstart
from ifa_jax import experiment, train
from ifa_jax.checkpoint import Checkpoints

ROOT = pathlib.Path(__file__).parent.parent
# Two epochs of 20 updates: long enough to be killed on its way.
CHANGES = {
  "train": {"batch_size": 2, "log_steps": 1, "checkpoint_steps": 3},
  # One of each stream is stacked, and one stands apart.
  "model": {"text": {"num_layers": 2}, "vision": {"num_layers": 2}},
}
SECONDS_TO_START = 120


def flags(changes, prefix="--config"):
  """Returns nested settings as the flags of `launch.py`."""
  for key, value in changes.items():
    if isinstance(value, dict):
      yield from flags(value, f"{prefix}.{key}")
    else:
      yield f"{prefix}.{key}={value}"


def start(data_dir, workdir, compiled_dir, stderr):
  """Starts `launch.py` as a user does, on the session's dataset."""
  changes = tiny_run.merged(tiny_run.SECTIONS, CHANGES)
  changes |= {"data": {"data_dir": str(data_dir)}}
  return subprocess.Popen(
    [
      sys.executable,
      "launch.py",
      f"--config={quickstart.__file__}",
      f"--workdir={workdir}",
      *flags(changes),
    ],
    cwd=ROOT,
    env=os.environ | tiny_run.fast_environment(compiled_dir),
    stdout=subprocess.DEVNULL,
    stderr=stderr,
  )


def is_under_way(workdir):
  """Whether steps behind some checkpoint within an epoch are logged."""
  metrics, folder = workdir / "metrics.jsonl", workdir / "checkpoints"
  if not metrics.exists() or not folder.exists():
    return False
  saved = [int(p.name) for p in folder.iterdir() if p.name.isdigit()]
  within = [step for step in saved if step % 20]
  return bool(within) and metrics.read_text().count('"loss"') > max(within)


def kill_under_way(process, workdir):
  until = time.monotonic() + SECONDS_TO_START
  while not is_under_way(workdir):
    assert process.poll() is None, "it ended by itself"
    assert time.monotonic() < until, "it did not start in time"
    time.sleep(0.002)
  process.send_signal(signal.SIGKILL)
  assert process.wait() == -signal.SIGKILL


def final_params(workdir, model_config):
  from ifa_jax.models import parameters

  with Checkpoints(workdir / "checkpoints") as checkpoints:
    assert checkpoints.newest == 40
    like = parameters.abstract_params(model_config)
    return checkpoints.restore_params(40, like)


def lines(workdir):
  return [
    {key: x for key, x in line.items() if key != "examples_per_second"}
    for line in tiny_run.read_lines(workdir / "metrics.jsonl")
  ]


def test_a_killed_run_ends_as_one_that_was_left_alone(
  data_dir, compiled_dir, tmp_path
):
  alone, killed = tmp_path / "alone", tmp_path / "killed"
  config = tiny_run.tiny_run_config(data_dir, **CHANGES)
  built = experiment.build(config)
  with tiny_run.fast_compilation(compiled_dir):
    train.run(built, alone)
  errors = tmp_path / "stderr"
  with errors.open("w") as stderr:
    process = start(data_dir, killed, compiled_dir, stderr)
    kill_under_way(process, killed)
  assert not (killed / "eval_test.json").exists()
  with errors.open("w") as stderr:
    assert start(data_dir, killed, compiled_dir, stderr).wait() == 0
  assert "Resuming from step" in errors.read_text()
  jax.tree.map(
    np.testing.assert_array_equal,
    final_params(killed, built.model_config),
    final_params(alone, built.model_config),
  )
  assert lines(killed) == lines(alone)
  for name in ("eval_test.json", "predictions_test.jsonl", "eval_dev.json"):
    assert (killed / name).read_text() == (alone / name).read_text()
