"""Consoles without Unicode, missing devices, bugs in configs."""

import json
import os
import subprocess
import sys

import command_lines
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.silent_input]

TOOL = """
from ifa_jax.cli import app, tables
from ifa_jax.inference import jsonl

def main(_):
  name = "Zo\\xeb \\U0001f602"
  print(name)
  tables.print_table(tables.make_table(name, ("a", name), [[name, "1"]]))
  with jsonl.writing("-") as write:
    write({"name": name, "half": chr(0xD83D)})

app.run(main)
"""


def run_python(code, *argv, **variables):
  return subprocess.run(
    [sys.executable, "-c", f"import sys; sys.argv = [*{argv!r}]\n{code}"],
    env={**os.environ, "PYTHONPATH": command_lines.PATHS, **variables},
    cwd=command_lines.ROOT,
    capture_output=True,
    check=False,
  )


CONSOLES = {
  "ascii": {"PYTHONIOENCODING": "ascii"},
  "latin-1": {"PYTHONIOENCODING": "latin-1"},
  "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
  "utf-8": {"PYTHONIOENCODING": "utf-8"},
}


@pytest.mark.parametrize("console", CONSOLES)
def test_unencodable_letters_are_escaped_and_json_is_read_back(console):
  done = run_python(TOOL, "tool", **CONSOLES[console])
  assert (done.returncode, done.stderr) == (0, b"")
  encoding = "ascii" if console == "C" else console
  name = "Zoë 😂".encode(encoding, "backslashreplace")
  *shown, last = done.stdout.splitlines()
  assert shown[0] == name
  assert b"\n".join(shown).count(name) == 4
  found = json.loads(last.decode(encoding))
  assert found == {"name": "Zoë 😂", "half": "\ud83d"}


HAS_GPU = os.path.exists("/dev/nvidiactl")
PLATFORMS = ["tpu", "foo", "foo,cpu"] + ["cuda", "gpu"] * (not HAS_GPU)
COMMANDS = {
  "train": ["launch.py", "--config=configs/quickstart.py", "--workdir=/no/run"],
  "benchmark": ["ifa_jax/benchmark.py", "--rows=mtb"],
}


def check_refused(lines, platform, loaded=("jax",)):
  outcomes = command_lines.run_all(
    lines, loaded=loaded, environment={"JAX_PLATFORMS": platform}
  )
  for status, out, err in outcomes.values():
    assert (status, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith(f"error: JAX_PLATFORMS={platform}: expected a ")
    assert line.endswith("JAX_PLATFORMS=cpu runs on the CPU")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_missing_platform_is_one_line(platform):
  # Both ask in the same place.
  train = {"train": COMMANDS["train"]}
  check_refused(COMMANDS if platform == "foo" else train, platform)


def test_commands_on_a_run_name_the_missing_platform(finished):
  workdir = f"--workdir={finished.workdir}"
  post = ["--text=<s>Ann</s> at <o>Acme</o>"]
  lines = {
    "predict": ["ifa_jax/predict.py", workdir, *post],
    "serve": ["ifa_jax/serve.py", workdir],
    "shuffle": ["ifa_jax/analyze/__main__.py", "shuffle", workdir],
  }
  modules = ["ifa_jax.training.loop", "ifa_jax.inference.predictor"]
  check_refused(lines, PLATFORMS[-1], modules)


def test_older_platform_setting_is_named():
  outcomes = command_lines.run_all(
    COMMANDS, environment={"JAX_PLATFORM_NAME": "gpu"}
  )
  for status, _, err in outcomes.values():
    assert status == 1
    assert err.startswith("error: JAX_PLATFORM_NAME=gpu: expected a platform")
    assert err.count("\n") == 1


def test_bug_with_a_valid_platform_has_a_traceback():
  done = run_python(
    "import jax\nfrom ifa_jax.cli import app\n"
    "def main(_): raise RuntimeError('odd')\napp.run(main)\n",
    "tool",
    JAX_PLATFORMS="cpu",
  )
  assert done.returncode == 1
  assert b"Traceback" in done.stderr
  assert done.stderr.endswith(b"RuntimeError: odd\n")


BUGS = {
  "key": ('{"a": {}["foo"]}', "KeyError: 'foo'"),
  "attribute": ("ml_collections.foo", "has no attribute 'foo'"),
  "setting": ("ml_collections.ConfigDict().foo", "'foo'"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_bug_in_a_config_file_has_a_traceback(tmp_path, bug):
  value, message = BUGS[bug]
  path = tmp_path / "own.py"
  path.write_text(
    "import ml_collections\ndef get_config():\n"
    f"  return ml_collections.ConfigDict({value})\n"
  )
  line = ["launch.py", f"--config={path}", "--workdir=/no/run"]
  (found,) = command_lines.run_all({"run": line}).values()
  assert found.status == 1
  assert "no such setting" not in found.err
  assert f'{path}", line 3, in get_config' in found.err
  assert message in found.err
