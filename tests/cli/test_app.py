"""Exit statuses, and one clear line for a user's mistake."""

import subprocess
import sys

import command_lines
import pytest

pytestmark = pytest.mark.slow

TOOL = '''
"""Raises the requested error."""
from absl import flags
from ifa_jax.cli import app
from ifa_jax.files import dataclass_dict

ERROR = flags.DEFINE_string("error", "", "Error to raise.")
NUMBER = flags.DEFINE_integer("number", 1, "Any.")

def main(argv):
  assert len(argv) == 1
  print("at work")
  if ERROR.value == "file":
    open("/nowhere/file")
  if ERROR.value:
    raise {
      "value": ValueError("data: expected 1, got 2"),
      "key": dataclass_dict.UnknownSettingError("model.foo: no such setting"),
      "bug of a key": KeyError("foo"),
      "bug": AssertionError("cannot be"),
      "stop": KeyboardInterrupt(),
    }[ERROR.value]

app.run(main)
'''

VERB = '''
"""Prints more lines than are read.

    python -m tool flood
"""
from absl import flags

def define_flags():
  flags.DEFINE_integer("lines", 100_000, "How many.")

def main(_):
  for _ in range(flags.FLAGS.lines):
    print("one more line")
'''

CONFIG = "--config=configs/mnre.py"
WORKDIR = "--workdir=/nowhere/run"
CASES = {
  "done": ["TOOL"],
  "help": ["TOOL", "--help"],
  "value": ["TOOL", "--error=value"],
  "key": ["TOOL", "--error=key"],
  "file": ["TOOL", "--error=file"],
  "bug": ["TOOL", "--error=bug"],
  "bug of a key": ["TOOL", "--error=bug of a key"],
  "stop": ["TOOL", "--error=stop"],
  "unknown flag": ["TOOL", "--nubmer=2"],
  "wrong type": ["TOOL", "--number=two"],
  "stray word": ["TOOL", "train"],
  "no workdir": ["launch.py", "--mode=evaluate"],
  "no config": ["launch.py", WORKDIR],
  "no such config": ["launch.py", "--config=configs/none.py", WORKDIR],
  "unknown variant": ["launch.py", f"{CONFIG}:tiyn", WORKDIR],
  "unknown setting": ["launch.py", CONFIG, WORKDIR, "--config.train.step=1"],
  "misspelt setting": [
    "launch.py",
    CONFIG,
    WORKDIR,
    "--config.train.batch_sze=1",
  ],
  "unknown section": [
    "launch.py",
    CONFIG,
    WORKDIR,
    "--config.trin.batch_size=1",
  ],
  "wrong setting": ["launch.py", CONFIG, WORKDIR, "--config.seed=one"],
  "unknown mode": ["launch.py", CONFIG, WORKDIR, "--mode=predict"],
}


@pytest.fixture(scope="module", name="outcomes")
def outcomes_of_all_cases(tmp_path_factory):
  tool = tmp_path_factory.mktemp("command") / "tool.py"
  tool.write_text(TOOL)
  lines = {
    name: [str(tool) if word == "TOOL" else word for word in line]
    for name, line in CASES.items()
  }
  return command_lines.run_all(lines)


def test_successful_command_exits_0(outcomes):
  assert outcomes["done"] == (0, "at work\n", "")


def test_help_exits_0_and_names_every_flag(outcomes):
  status, out, _ = outcomes["help"]
  assert status == 0
  assert "Raises the requested error." in out
  assert "--number" in out
  assert "(default: '1')" in out


@pytest.mark.parametrize(
  ("case", "line"),
  [
    ("value", "data: expected 1, got 2"),
    ("key", "model.foo: no such setting"),
    ("file", "[Errno 2] No such file or directory: '/nowhere/file'"),
    ("stop", "stopped"),
  ],
)
def test_user_error_exits_1_with_one_line(outcomes, case, line):
  assert outcomes[case] == (1, "at work\n", f"error: {line}\n")


def test_missing_config_is_named_in_one_line(outcomes):
  status, out, err = outcomes["no such config"]
  assert (status, out) == (1, "")
  (line,) = err.splitlines()
  assert line.endswith("one of minilm, mnre, quickstart, got 'configs/none.py'")


@pytest.mark.parametrize(
  ("case", "line"),
  [("bug", "AssertionError: cannot be"), ("bug of a key", "KeyError: 'foo'")],
)
def test_a_bug_exits_1_with_its_traceback(outcomes, case, line):
  status, _, err = outcomes[case]
  assert status == 1
  assert "Traceback" in err
  assert line in err


@pytest.mark.parametrize(
  ("case", "named"),
  [
    ("unknown flag", "nubmer"),
    ("wrong type", "--number=two"),
    ("stray word", "got 'train'"),
    ("no workdir", "--mode=evaluate with --workdir"),
    ("no config", "--config=configs/mnre.py"),
    ("unknown variant", "got 'tiyn'"),
    ("unknown setting", "no such setting: 'step'"),
    ("misspelt setting", 'Did you mean "batch_size"'),
    ("unknown section", 'Did you mean "train"'),
    ("wrong setting", "seed"),
    ("unknown mode", "predict"),
  ],
)
def test_wrong_usage_exits_2_with_one_line(outcomes, case, named):
  status, out, err = outcomes[case]
  assert (status, out) == (2, "")
  (line,) = err.splitlines()
  assert line.startswith("error: ")
  assert named in line


@pytest.fixture(name="verb")
def command_of_one_verb(tmp_path):
  (tmp_path / "flood.py").write_text(VERB)
  (tmp_path / "tool.py").write_text(
    "import sys\n"
    f"sys.path.append({command_lines.PATHS!r})\n"
    "from ifa_jax.cli import app\n"
    f"app.run_verb({tmp_path.name!r}, {{'flood': 'flood'}})\n"
  )
  (tmp_path / "__init__.py").touch()
  return [sys.executable, "-m", f"{tmp_path.name}.tool"], tmp_path.parent


def test_help_of_a_verb_is_its_docstring_and_its_flags(verb):
  command, folder = verb
  done = subprocess.run(
    [*command, "flood", "--help"], cwd=folder, capture_output=True, text=True
  )
  assert done.returncode == 0
  assert "Prints more lines than are read." in done.stdout
  assert "--lines: How many." in done.stdout


def test_an_unknown_verb_is_wrong_usage(verb):
  command, folder = verb
  done = subprocess.run(
    [*command, "drain"], cwd=folder, capture_output=True, text=True
  )
  assert (done.returncode, done.stdout) == (2, "")
  assert done.stderr == "error: command: expected one of flood, got 'drain'\n"


def test_closed_pipe_ends_the_command_quietly(verb):
  command, folder = verb
  with subprocess.Popen(
    [*command, "flood"],
    cwd=folder,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  ) as process:
    assert process.stdout.readline() == b"one more line\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
