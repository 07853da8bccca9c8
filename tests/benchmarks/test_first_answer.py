"""Starts of `ifa_jax.predict` are timed in turn, cold and warm."""

import pytest

from benchmarks import first_answer
from benchmarks.first_answer import Seconds

# Notes in which state it finds its folder, and works for a while.
COMMAND = """
import os, pathlib, sys, time
kept = pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
with open("starts", "a") as file:
  print(sys.argv[1], len([*kept.iterdir()]), file=file)
(kept / str(os.getpid())).touch()
while time.process_time() < 0.1:
  pass
sys.exit("error: no run" if sys.argv[1] == "--workdir=none" else 0)
"""


@pytest.fixture(name="trees")
def two_checkouts(tmp_path):
  folders = [tmp_path / "ours", tmp_path / "theirs"]
  for folder in folders:
    (folder / "ifa_jax").mkdir(parents=True)
    (folder / "ifa_jax" / "__init__.py").touch()
    (folder / "ifa_jax" / "predict.py").write_text(COMMAND)
  return [str(folder) for folder in folders]


def test_a_cold_start_is_followed_by_warm_ones(trees, tmp_path):
  times = first_answer.measure(trees, ["--workdir=run"], rounds=2)
  for tree in trees:
    assert [len(times[tree, name]) for name in ("cold", "warm")] == [2, 4]
    assert all(found.cpu > 0.09 for found in times[tree, "warm"])
    assert all(found.wall > 0.09 for found in times[tree, "cold"])
  starts = (tmp_path / "ours" / "starts").read_text().splitlines()
  assert starts == [f"--workdir=run {i}" for i in (0, 1, 2)] * 2


def test_a_start_that_fails_is_told(trees):
  with pytest.raises(ValueError, match=r"ours: .* failed: error: no run"):
    first_answer.measure(trees, ["--workdir=none"], rounds=1)


def test_rows_have_the_median_and_both_ends():
  times = {("a", "cold"): [Seconds(3.0, 1.0), Seconds(1.0, 2.0)]}
  assert first_answer.make_rows(times) == [
    ["a", "cold", "2.00 (1.00 - 3.00)", "1.50 (1.00 - 2.00)"]
  ]
