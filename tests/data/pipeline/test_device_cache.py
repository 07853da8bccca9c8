"""Rows of a split on four simulated devices, gathered without TensorFlow."""

import json
import os
import subprocess
import sys

import command_lines
import pytest

from ifa_jax.runtime.forms import FORMS


@pytest.fixture(scope="module", name="report")
def report_of_the_script():
  done = subprocess.run(
    [sys.executable, command_lines.SCRIPTS / "device_rows_script.py"],
    cwd=command_lines.ROOT,
    env={**os.environ, "PYTHONPATH": command_lines.PATHS},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("form", FORMS)
def test_batches_are_laid_out_for_a_step(report, form):
  assert report["devices"] == 4
  assert [name for name, holds in report[form].items() if not holds] == []


def test_tensorflow_is_not_needed(report):
  assert not report["tensorflow"]
