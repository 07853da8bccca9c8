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


def _run(*words):
  done = subprocess.run(
    [sys.executable, "-c", _SCRIPT, *words],
    capture_output=True,
    text=True,
    check=True,
    cwd=command_lines.ROOT,
  )
  return int(done.stdout)
