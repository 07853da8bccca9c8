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
      "memory": RuntimeError("RESOURCE_EXHAUSTED: 9 bytes\\n..."),
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
RUN = ["launch.py", CONFIG, "--workdir=/nowhere/run"]
# A mistake of the user at work, and its line.
FAILURES = {
  "value": "data: expected 1, got 2",
  "key": "model.foo: no such setting",
  "file": "[Errno 2] No such file or directory: '/nowhere/file'",
  "memory": (
    "device memory: expected room for the batch, got RESOURCE_EXHAUSTED: 9"
    " bytes; set a smaller batch size, or see train.num_slices and train.remat"
  ),
}
BUGS = {"bug": "AssertionError: cannot be", "bug of a key": "KeyError: 'foo'"}
# A wrong command line, and a part of its line.
USAGE = {
  "nubmer": ["TOOL", "--nubmer=2"],
  "--number=two": ["TOOL", "--number=two"],
  "got 'train'": ["TOOL", "train"],
  "--mode=evaluate with --workdir": ["launch.py", "--mode=evaluate"],
  CONFIG: ["launch.py", "--workdir=/nowhere/run"],
  "got 'tiyn'": ["launch.py", f"{CONFIG}:tiyn"],
  "no such setting: 'step'": [*RUN, "--config.train.step=1"],
  'Did you mean "batch_size"': [*RUN, "--config.train.batch_sze=1"],
  'Did you mean "train"': [*RUN, "--config.trin.batch_size=1"],
  "seed": [*RUN, "--config.seed=one"],
  "predict": [*RUN, "--mode=predict"],
  "--data_dir with --protocol; to train: ": [*RUN, "--protocol=none"],
  "--raw_dir with --boxes": [*RUN, "--boxes=boxes.json"],
  "--split with --mode=evaluate": [*RUN, "--split=dev"],
  "--data_dir=/nowhere: expected no --config next to it": [
    *RUN,
    "--mode=evaluate",
    "--data_dir=/nowhere",
  ],
}


@pytest.fixture(scope="module", name="outcomes")
def outcomes_of_all_cases(tmp_path_factory):
  tool = tmp_path_factory.mktemp("command") / "tool.py"
  tool.write_text(TOOL)
  cases = {
    "done": ["TOOL"],
    "help": ["TOOL", "--help"],
    "no config": ["launch.py", "--config=configs/none.py"],
    **{case: ["TOOL", f"--error={case}"] for case in FAILURES | BUGS},
    "stop": ["TOOL", "--error=stop"],
    **USAGE,
  }
  return command_lines.run_all(
    {
      case: [str(tool) if word == "TOOL" else word for word in line]
      for case, line in cases.items()
    }
  )


def test_successful_command_exits_0(outcomes):
  assert outcomes["done"] == (0, "at work\n", "")


def test_help_exits_0_and_names_every_flag(outcomes):
  status, out, _ = outcomes["help"]
  assert status == 0
  assert "Raises the requested error." in out
  assert "--number" in out
  assert "(default: '1')" in out


@pytest.mark.parametrize("case", FAILURES)
def test_user_error_exits_1_with_one_line(outcomes, case):
  assert outcomes[case] == (1, "at work\n", f"error: {FAILURES[case]}\n")


def test_ctrl_c_exits_as_a_shell_reports_it(outcomes):
  assert outcomes["stop"] == (130, "at work\n", "error: stopped\n")


def test_missing_config_is_named_in_one_line(outcomes):
  status, out, err = outcomes["no config"]
  assert (status, out) == (1, "")
  (line,) = err.splitlines()
  assert line.endswith("one of minilm, mnre, quickstart, got 'configs/none.py'")


@pytest.mark.parametrize("case", BUGS)
def test_a_bug_exits_1_with_its_traceback(outcomes, case):
  status, _, err = outcomes[case]
  assert status == 1
  assert "Traceback" in err
  assert BUGS[case] in err


@pytest.mark.parametrize("named", USAGE)
def test_wrong_usage_exits_2_with_one_line(outcomes, named):
  status, out, err = outcomes[named]
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
    f"app.run_verb({tmp_path.name!r}, {{'flood': app.Verb('flood', 'x')}})\n"
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


def test_help_has_a_line_for_each_verb(verb):
  command, folder = verb
  done = subprocess.run(
    [*command, "--help"], cwd=folder, capture_output=True, text=True
  )
  assert "  flood  x\n" in done.stdout


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
