"""Two processes with two devices each give the results of one with four."""

import json
import os
import re
import subprocess
import sys

import command_lines
import numpy as np
import pytest
import tiny_run
import whole_run
from ports import free_port

# Gloo logs its connections, in threads that interrupt each other's lines.
_GLOO = re.compile(
  r"\[Gloo\] Rank | is connected to | peer ranks\. "
  r"|Expected number of connected peer ranks is : |\d+"
)
# Six updates, two of them of the second epoch. No dropout, which depends on the
# number of devices under pmap. AdamW divides a gradient by its own size;
# those of keys' biases are rounding alone, which epsilon keeps small.
CHANGES = {
  "optim": {"epsilon": 1e-2},
  "model": {
    "vision": None,
    "head_dropout_rate": 0.0,
    "text": {"dropout_rate": 0.0, "attention_dropout_rate": 0.0},
  },
  "eval": {"batch_size": 8},
}


def run_config(data_dir, form, seed=1234):
  train_changes = {"train": {"parallel": form, "max_steps": 6}}
  return tiny_run.tiny_run_config(
    data_dir, **CHANGES, **train_changes, seed=seed
  )


def start(number, total, num_devices, port, compiled_dir):
  """Starts one process of several, which waits for a task."""
  flags = [os.environ["XLA_FLAGS"]]
  flags += [f"--xla_force_host_platform_device_count={num_devices}"]
  variables = tiny_run.fast_environment(compiled_dir) | {
    "PYTHONPATH": command_lines.PATHS,
    "XLA_FLAGS": " ".join(flags),
    "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
    "JAX_NUM_PROCESSES": str(total),
    "JAX_PROCESS_ID": str(number),
  }
  return subprocess.Popen(
    [sys.executable, command_lines.SCRIPTS / "processes_script.py"],
    env=os.environ | variables,
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def ask(total, num_devices, compiled_dir, cases, apart):
  """Returns the reports of several processes on the same cases."""
  port = free_port()
  started = [
    start(i, total, num_devices, port, compiled_dir) for i in range(total)
  ]
  for process in started:
    process.stdin.write(json.dumps({"cases": cases, "apart": apart}))
    process.stdin.close()
    process.stdin = None
  ended = [process.communicate() for process in started]
  for process, (_, errors) in zip(started, ended, strict=True):
    assert process.returncode == 0, errors
  reports = [json.loads(out.splitlines()[-1]) for out, _ in ended]
  for number, report in enumerate(reports):
    assert report["processes"] == [total, number, total * num_devices]
  return [*zip(reports, (out for out, _ in ended), strict=True)]


def case(workdir, *configs, stop=None):
  """Returns a run, with the step that it is stopped at."""
  return {"workdir": str(workdir), "configs": configs, "stop": stop}


@pytest.fixture(scope="module", name="made")
def runs_of_one_and_of_two_processes(data_dir, compiled_dir, tmp_path_factory):
  """Folder of the runs, with the reports and the output of both processes."""
  folder = tmp_path_factory.mktemp("processes")
  pmap, jit, fsdp = (
    run_config(data_dir, form) for form in ("pmap", "jit", "fsdp")
  )
  for name in ("first", "second", "foreign"):
    (folder / name).mkdir()
  (folder / "foreign" / "notes.txt").touch()
  apart = [str(folder / name) for name in ("first", "second")]
  one = {
    "jit": case(folder / "one_jit", jit),
    "started": case(folder / "down", pmap, stop=5),
    "split": case(folder / "split", fsdp, stop=5),
    "whole": case(folder / "whole", jit, stop=5),
  }
  ((report, _),) = ask(1, 4, compiled_dir, one, apart)
  assert {*report["failures"].values()} == {None}
  two = {
    "jit": case(folder / "two_jit", jit),
    "resumed": case(folder / "down", pmap),
    "fsdp": case(folder / "two_fsdp", fsdp),
    "from fsdp": case(folder / "split", jit),
    "to fsdp": case(folder / "whole", fsdp),
    "stopped": case(folder / "stopped", fsdp, stop=5),
    "restarted": case(folder / "stopped", fsdp),
    "other": case(folder / "two_jit", jit, run_config(data_dir, "jit", seed=7)),
    "foreign": case(folder / "foreign", jit),
  }
  return folder, ask(2, 2, compiled_dir, two, apart)


def check_same(found, wanted):
  """Compares all that two runs leave."""
  lines = [whole_run.lines(workdir) for workdir in (found, wanted)]
  steps = [(2, 1), (3, 1), (4, 1), (4, 1), (6, 2), (6, 2)]
  assert [(x["step"], x["epoch"]) for x in lines[0]] == steps
  for ours, theirs in zip(*lines, strict=True):
    for line in (ours, theirs):
      line.pop("examples_per_second", None)
    assert ours == pytest.approx(theirs, rel=0, abs=1e-5)
  check_same_scores(found, wanted)
  leaves = [whole_run.newest_leaves(workdir) for workdir in (found, wanted)]
  for ours, theirs in zip(*leaves, strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def check_same_scores(found, wanted):
  for split in ("dev", "test"):
    name = f"predictions_{split}.jsonl"
    rows = [whole_run.lines(workdir, name) for workdir in (found, wanted)]
    for ours, theirs in zip(*rows, strict=True):
      probabilities = [row.pop("probabilities") for row in (ours, theirs)]
      assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-5)
      assert ours == theirs | {
        "probability": pytest.approx(theirs["probability"], abs=1e-5)
      }
    scores = [
      json.loads((workdir / f"eval_{split}.json").read_text())
      for workdir in (found, wanted)
    ]
    assert scores[0] == scores[1]


def test_two_processes_train_as_one_and_write_the_same(made):
  folder, _ = made
  check_same(folder / "two_jit", folder / "one_jit")
  names = {path.name for path in (folder / "two_jit").iterdir()}
  events = {name for name in names if name.startswith("events.out.")}
  assert names - events == tiny_run.FILES
  assert len(events) == 1


def test_two_processes_go_on_where_one_was_stopped(made):
  folder, _ = made
  # Under the other form of parallelism, which computes the same.
  check_same(folder / "down", folder / "one_jit")


@pytest.mark.parametrize("workdir", ["two_fsdp", "split", "whole"])
def test_a_split_state_is_that_of_one_process(made, workdir):
  # The last two changed between jit and fsdp, and from one process to two.
  folder, _ = made
  check_same(folder / workdir, folder / "one_jit")


def test_a_split_state_is_resumed_bit_by_bit(made):
  folder, _ = made
  found, wanted = (
    whole_run.outcome(folder / name) for name in ("stopped", "two_fsdp")
  )
  assert found == wanted


def test_the_first_process_prints_and_the_other_is_silent(made):
  _, ((_, first), (_, second)) = made
  assert first.count("Test scores of") == 6
  # The last line is the script's own.
  assert _GLOO.sub("", "".join(second.splitlines()[:-1])).strip() == ""


def test_a_mistake_that_one_process_finds_ends_both(made):
  folder, ((first, _), (second, _)) = made
  asked = "holds another run: seed: expected 1234 as recorded, got 7"
  assert asked in second["failures"]["other"]
  assert first["failures"]["other"] == (
    f"process 1: {second['failures']['other']}"
  )
  foreign = f"{folder / 'foreign'}: expected a new folder"
  assert first["failures"]["foreign"].startswith(foreign)
  assert second["failures"]["foreign"].startswith(f"process 0: {foreign}")
  assert not (folder / "foreign" / "config.json").exists()


def test_a_folder_that_is_not_shared_is_found_out(made):
  folder, ((first, _), (second, _)) = made
  wanted = f"{folder / 'second'}: expected storage that all processes share"
  assert second["apart"].startswith(wanted)
  assert first["apart"].startswith(f"process 1: {wanted}")
  for name in ("first", "second"):
    assert list((folder / name).iterdir()) == []
