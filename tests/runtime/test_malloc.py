"""Freed memory is kept: the next step reuses its pages."""

import subprocess
import sys

import command_lines
import pytest

_SCRIPT = """
import resource
import sys
from ifa_jax.runtime import malloc

if sys.argv[1:]:
  assert malloc.keep_freed_memory()

import jax
def square(x):
  outer = x[:, None] * x
  return jax.numpy.concatenate(5 * [outer], axis=1) @ outer[:, :5].reshape(-1)

square = jax.jit(square)

def faults():
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  square(jax.numpy.ones(3000)).block_until_ready()
  return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(min(faults() for _ in range(12)))
"""


@pytest.mark.skipif(
  not sys.platform.startswith("linux"), reason="glibc alone has mallopt"
)
def test_a_step_takes_few_pages_from_the_system():
  before, after = _run(), _run("keep")
  # 3000 x 3000 floats are 8 789 pages of 4 KiB.
  assert before > 5 * 8_000
  assert after < before / 4


_COMMAND = """
import sys
from ifa_jax.runtime import malloc

malloc.keep_freed_memory = lambda: print(sys.modules.keys() & {"numpy", "jax"})
sys.argv = ["command", "--help"]
"""


@pytest.mark.parametrize(
  "start",
  [
    "import ifa_jax.launch",
    "from ifa_jax.analyze.__main__ import run; run()",
  ],
)
def test_commands_that_train_keep_memory_before_threads_start(start):
  assert _python(_COMMAND + start).splitlines()[0] == "set()"


def _run(*words):
  return int(_python(_SCRIPT, *words))


def _python(script, *words):
  done = subprocess.run(
    [sys.executable, "-c", script, *words],
    capture_output=True,
    text=True,
    check=True,
    cwd=command_lines.ROOT,
  )
  return done.stdout
