"""Command lines of the project and their outcomes."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_SUPPORT = pathlib.Path(__file__).parent
ROOT = _SUPPORT.parents[1]
SCRIPTS = _SUPPORT / "scripts"
# PYTHONPATH of a process that imports the project and the modules next to this.
PATHS = f"{ROOT}{os.pathsep}{_SUPPORT}"


class Outcome(NamedTuple):
  status: int
  out: str
  err: str


def run_all(
  lines: Mapping[str, Sequence[str]],
  cwd: str | os.PathLike = ROOT,
  loaded: Sequence[str] = (),
  environment: Mapping[str, str] | None = None,
) -> dict[str, Outcome]:
  """Runs named command lines, a Python file first in each.

  Args:
    lines: name -> a file below the repository, and its arguments.
    cwd: where they run.
    loaded: modules that most of them need and that take seconds to load.
    environment: variables to set in addition to this process's.
  """
  argvs = [[str(ROOT / line[0]), *line[1:]] for line in lines.values()]
  done = subprocess.run(
    [sys.executable, SCRIPTS / "command_script.py", *loaded],
    input=json.dumps(argvs),
    env={**os.environ, "PYTHONPATH": PATHS, **(environment or {})},
    cwd=cwd,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  outcomes = (Outcome(*found) for found in json.loads(done.stdout))
  return dict(zip(lines, outcomes, strict=True))


def flags(changes, prefix="--config"):
  """Returns nested settings as the flags of `launch.py`."""
  for key, value in changes.items():
    if isinstance(value, dict):
      yield from flags(value, f"{prefix}.{key}")
    else:
      yield f"{prefix}.{key}={value}"
