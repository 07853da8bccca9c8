"""Flags of the benchmarks, and their tables."""

import json

import command_lines
import pytest

from benchmarks import harness


@pytest.fixture(scope="module", name="outcomes")
def commands(tmp_path_factory):
  out = tmp_path_factory.mktemp("out") / "found.json"
  pod = "benchmarks/pod_model.py"
  lines = {
    "right": [pod, f"--out={out}", "--share=0.5"],
    "share": [pod, "--share=-1"],
    "help": ["benchmarks/accelerator.py", "--help"],
    "part": ["benchmarks/accelerator.py", "--out=x", "--only=epochs,x"],
    "number": ["benchmarks/epochs.py", "--num_rows=1,x"],
    "rows": ["benchmarks/pytorch.py", "--rows="],
    "required": ["benchmarks/accelerator.py"],
  }
  return command_lines.run_all(lines, loaded=["jax"]), out


def test_flags_become_settings(outcomes):
  found, out = outcomes
  assert found["right"].status == 0, found["right"].err
  written = json.loads(out.read_text())
  assert written["work"]["share"] == 0.5
  # A slice of v5e does not have 512 chips, and 256 rows are too few for them.
  sizes = {
    (line["devices"], line["batch_size"])
    for line in written["lines"]
    if line["chip"] == "TPU v5e"
  }
  assert sizes == {(n, rows) for n in (8, 64) for rows in (256, 1024, 4096)}
  assert "Folder for the JSON files" in found["help"].out
  assert "Some of training, inference, epochs_cold" in found["help"].out


def test_wrong_flags_get_one_line(outcomes):
  found, _ = outcomes
  for name, named in {
    "part": "--only=epochs,x: value should be one of <training|inference|",
    "number": "--num_rows=1,x: invalid literal for int() with base 10: 'x'",
    "rows": "--rows=: expected at least one value, got none",
    "required": "--out",
    "share": "--share",
  }.items():
    status, out, err = found[name]
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert named in line


def test_a_spread_has_the_median_and_both_ends():
  assert harness.spread([3.0, 1.0, 1.5], 2) == "1.50 (1.00 - 3.00)"
  assert harness.spread([], 2) == ""


def test_figures_are_written_with_the_machine(tmp_path, capsys):
  path = tmp_path / "found.json"
  harness.report("Title", ("a", "b"), [("x", "1")], {"n": 1}, str(path))
  assert "Title" in capsys.readouterr().out
  found = json.loads(path.read_text())
  assert found["n"] == 1
  assert {"device", "num_cores", "versions"} <= found["machine"].keys()
