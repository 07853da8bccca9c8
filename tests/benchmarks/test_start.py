"""A start is watched part by part until its first update is done."""

import pathlib
import subprocess

import command_lines
import pytest
import tiny_run

from benchmarks import start
from configs import quickstart


def flags_of_a_tiny_run(data_dir):
  changes = tiny_run.SECTIONS | {"data": {"data_dir": str(data_dir)}}
  return [f"--config={quickstart.__file__}", *command_lines.flags(changes)]


def test_a_start_stops_behind_its_first_updates(
  data_dir, compiled_dir, tmp_path
):
  tiny_flags = flags_of_a_tiny_run(data_dir)
  environment = tiny_run.fast_environment(compiled_dir)
  with pytest.MonkeyPatch.context() as patch:
    for name, value in environment.items():
      patch.setenv(name, value)
    found = start.start(tiny_flags, str(tmp_path), str(compiled_dir))
  assert [*found["parts"]] == [
    "imports",
    "dataset and checks",
    "state and first batch",
    "first update dispatched",
    "first update done",
  ]
  for seconds in (*found["parts"].values(), found["update"]):
    assert seconds["wall"] > 0
    assert seconds["cpu"] >= 0
  assert {"trace", "lower", "compile or load"} <= {*found["jax"]}
  run = pathlib.Path(tmp_path / "run")
  assert (run / "config.json").exists()
  assert not (run / "eval_test.json").exists()


def test_a_run_that_fails_is_told(tmp_path, monkeypatch):
  failed = subprocess.CompletedProcess([], 1, stderr="one\nerror: no data\n")
  monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
  with pytest.raises(ValueError, match=r"launch\.py failed: error: no data"):
    start.start([], str(tmp_path), str(tmp_path))


def test_parts_add_up():
  parts = {
    "imports": {"wall": 1.0, "cpu": 2.0},
    "update": {"wall": 0.5, "cpu": 0.25},
  }
  update = {"wall": 0.25, "cpu": 0.25}
  found = {"parts": parts, "update": update, "jax": {"trace": 0.125}}
  assert start.make_rows({"cold": found, "warm": found | {"jax": {}}}) == [
    ["imports", "1.00 (2.00)", "1.00 (2.00)"],
    ["update", "0.50 (0.25)", "0.50 (0.25)"],
    ["in all", "1.50 (2.25)", "1.50 (2.25)"],
    ["in all, without an update", "1.25 (2.00)", "1.25 (2.00)"],
    ["of that, JAX: trace", "0.12", "0.00"],
  ]
