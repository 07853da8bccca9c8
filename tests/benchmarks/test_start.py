"""A start of launch.py is timed part by part until its first update is done."""

import pathlib
import re
import subprocess
import sys

import command_lines
import tiny_run

from configs import quickstart

PARTS = (
  "imports",
  "dataset and checks",
  "state and first batch",
  "first update dispatched",
  "first update done",
)


def test_a_start_ends_after_its_first_updates(data_dir, compiled_dir, tmp_path):
  changes = tiny_run.SECTIONS | {"data": {"data_dir": str(data_dir)}}
  run = tmp_path / "run"
  done = subprocess.run(
    [
      *(sys.executable, "-m", "benchmarks.start"),
      f"--config={quickstart.__file__}",
      f"--workdir={run}",
      *command_lines.flags(changes),
    ],
    env=tiny_run.fast_environment(compiled_dir),
    cwd=pathlib.Path(command_lines.ROOT),
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  cells = re.findall(r"│ (\D+?) +│ +(-?[\d.]+) │ +(-?[\d.]+) │", done.stdout)
  seconds = {name: (float(wall), float(cpu)) for name, wall, cpu in cells}
  names = (*PARTS, "second update", "total")
  assert tuple(seconds) == (*names, "total without an update")
  for column in (0, 1):
    total = sum(seconds[name][column] for name in PARTS)
    found = seconds["total"][column]
    assert abs(found - total) < 0.04
    without = total - seconds["second update"][column]
    assert abs(seconds["total without an update"][column] - without) < 0.04
  assert (run / "config.json").exists()
  assert not (run / "eval_test.json").exists()
