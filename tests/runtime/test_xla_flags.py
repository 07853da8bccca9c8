"""XLA's flags: sums on a CPU are right, and a user's flags stay."""

import os
import subprocess
import sys

import command_lines
import pytest

from ifa_jax.runtime import xla_flags

pytestmark = pytest.mark.silent_input

# Runs the words as statements, then counts rows whose sum is wrong.
_SCRIPT = """
import sys
for statement in sys.argv[1:]:
  exec(statement)
import jax, numpy as np
draw = np.random.default_rng(0).normal
matrix, rows = draw(size=(3, 3)).astype("f4"), draw(size=(40_000, 3))
found = jax.jit(jax.vmap(lambda row: ((matrix @ row) ** 2).sum()))(rows)
wanted = ((rows @ matrix.T) ** 2).sum(1)
print((~np.isclose(found, wanted, rtol=1e-4)).sum())
"""
_FLAG = "--xla_cpu_experimental_ynn_fusion_type"


def run(*statements, **environment):
  """Returns the number of wrong rows, and the log."""
  # Code as users have it, not as the suite compiles.
  kept = {
    name: value
    for name, value in os.environ.items()
    if name not in ("XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS")
  }
  done = subprocess.run(
    [sys.executable, "-c", _SCRIPT, *statements],
    env={**kept, "PYTHONPATH": command_lines.PATHS, **environment},
    capture_output=True,
    text=True,
    check=True,
  )
  return int(done.stdout), done.stderr


@pytest.mark.parametrize(
  "statements",
  [
    ["import jax", "import ifa_jax; ifa_jax.Predictor"],
    ["from ifa_jax.cli import app"],
  ],
)
def test_sums_over_many_rows_are_right(statements):
  assert run(*statements) == (0, "")


def test_flags_in_a_file_are_still_read(tmp_path):
  path = tmp_path / "flags"
  path.write_text("--xla_cpu_enable_fast_math=false\n")
  assert run("import ifa_jax", XLA_FLAGS=str(path)) == (0, "")


def test_a_backend_that_runs_already_is_warned_about():
  _, log = run("import jax; jax.devices()", "import ifa_jax")
  import jaxlib

  warned = f"XLA_FLAGS: expected {xla_flags.OWN_SUMS} before JAX starts" in log
  assert warned == xla_flags.sums_wrongly(jaxlib.__version__)


def flags_after(monkeypatch, version, value):
  """Returns XLA_FLAGS as it is then, from one value, under a jaxlib."""
  monkeypatch.setattr("jaxlib.version.__version__", version)
  monkeypatch.setattr(xla_flags, "_backend_runs", lambda: False)
  monkeypatch.setenv("XLA_FLAGS", value)
  xla_flags.avoid_wrong_sums()
  return os.environ["XLA_FLAGS"]


@pytest.mark.parametrize("value", ["", f"{_FLAG}=+reduce", "--a=1 --b", "file"])
def test_a_users_flags_stay(value, monkeypatch):
  found = flags_after(monkeypatch, "0.10.2", value)
  ours = f"{value} {_FLAG}=-reduce".strip()
  assert found == (ours if value in ("", "--a=1 --b") else value)


@pytest.mark.parametrize("version", ["0.10.1", "0.11.2", "0.12.0.1", "1.0.0"])
def test_versions_that_sum_right_get_no_flag(version, monkeypatch):
  assert flags_after(monkeypatch, version, "") == ""
  assert not xla_flags.sums_wrongly(version)


def test_a_build_of_a_day_counts_as_its_version():
  assert xla_flags.sums_wrongly("0.11.0.dev20260701+abc")
