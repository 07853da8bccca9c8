"""Kills command lines of the project; see `killing_script`."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import command_lines


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
