"""Kills command lines of the project; see `killing_script`."""

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import command_lines

_SECONDS_TO_START = 120


class Ended(NamedTuple):
  """Outcome of a process; see `killing_script`."""

  status: int
  renames: int
  seconds: float
  err: str

  @property
  def is_killed(self) -> bool:
    return self.status == -signal.SIGKILL


class Killer:
  """Starts one command line again and again."""

  def __init__(self, server: subprocess.Popen):
    self._server = server

  def run(self, argv: Sequence[str], **kill: Any) -> Ended:
    """Runs it; `kill` may say when it is to be killed."""
    path = str(command_lines.ROOT / argv[0])
    request = {"argv": [path, *map(str, argv[1:])], **kill}
    self._server.stdin.write(json.dumps(request) + "\n")
    self._server.stdin.flush()
    ended = Ended(**json.loads(self._server.stdout.readline()))
    assert ended.status == 0 or kill, ended.err
    return ended

  def run_killed_at_renames(
    self, argv: Sequence[str], numbers: Sequence[int]
  ) -> int:
    """Kills a start for each number, at that rename; then lets it end.

    Returns:
      How many were killed; others came to their end before.
    """
    ended = [self.run(argv, renames=number) for number in numbers]
    for one in ended:
      assert one.is_killed or one.status == 0, one.err
    self.run(argv)
    return sum(one.is_killed for one in ended)

  def run_killed_at_random(
    self, argv: Sequence[str], kills: int, longest: float, seed: int
  ) -> int:
    """Kills starts between half a second and `longest`; then lets it end."""
    moments = random.Random(seed)
    ended = [
      self.run(argv, seconds=moments.uniform(0.5, longest))
      for _ in range(kills)
    ]
    for one in ended:
      assert one.is_killed or one.status == 0, one.err
    self.run(argv)
    return sum(one.is_killed for one in ended)


@contextlib.contextmanager
def killer(
  loaded: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[Killer]:
  """Gives a killer whose commands find some modules loaded."""
  with subprocess.Popen(
    [sys.executable, command_lines.SCRIPTS / "killing_script.py", *loaded],
    cwd=command_lines.ROOT,
    env={
      **os.environ,
      "PYTHONPATH": command_lines.PATHS,
      **(environment or {}),
    },
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as server:
    yield Killer(server)
    server.stdin.close()


def stop_after_a_batch(
  command: str, flags: Mapping[str, Any], out: pathlib.Path
) -> int:
  """Kills a command of `data_prep` as soon as its journal has a batch.

  Returns:
    The number of batches in the journal.
  """
  journal = pathlib.Path(f"{out}.journal.jsonl")
  environment = {"PYTHONPATH": command_lines.PATHS, "OMP_NUM_THREADS": "1"}
  with tempfile.TemporaryFile("w+") as stderr:
    process = subprocess.Popen(
      [
        sys.executable,
        f"data_prep/{command}.py",
        *(f"--{name}={value}" for name, value in flags.items()),
      ],
      cwd=command_lines.ROOT,
      env=os.environ | environment,
      stdout=subprocess.DEVNULL,
      stderr=stderr,
    )
    until = time.monotonic() + _SECONDS_TO_START
    while not journal.exists() or journal.read_bytes().count(b"\n") < 2:
      if process.poll() is not None:
        stderr.seek(0)
        raise AssertionError(stderr.read())
      assert time.monotonic() < until, "it did not start in time"
      time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
  assert not out.exists()
  return journal.read_bytes().count(b"\n") - 1
