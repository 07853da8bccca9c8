"""The memory that a process may take, in the files of control groups."""

import pytest

from ifa_jax.data.pipeline import host_cache

KINDS = {
  "version 2": ("0::/job/step", "memory.max", "memory.current", ""),
  "version 1": (
    "4:cpu,memory:/job/step",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "total_",
  ),
}


@pytest.mark.parametrize("kind", [*KINDS])
def test_the_smallest_group_around_a_process_counts(tmp_path, kind):
  line, most, now, prefix = KINDS[kind]
  base = tmp_path / "memory" if prefix else tmp_path
  sizes = {"": (900, 100, 0), "job": (500, 300, 50), "job/step": ("max", 9, 0)}
  for name, (limit, used, dropped) in sizes.items():
    (base / name).mkdir(parents=True, exist_ok=True)
    (base / name / most).write_text(f"{limit}\n")
    (base / name / now).write_text(f"{used}\n")
    stat = f"anon 3\n{prefix}inactive_file {dropped}\n"
    (base / name / "memory.stat").write_text(stat)
  lines = ["12:cpuset:/elsewhere", line]
  left = [
    host_cache.left_in(group) for group in host_cache.groups(lines, tmp_path)
  ]
  assert left == [float("inf"), 250, 800]


def test_a_group_that_a_container_does_not_see_has_no_limit(tmp_path):
  groups = [*host_cache.groups(["0::/docker/1"], tmp_path)]
  assert groups[-1] == tmp_path
  assert {host_cache.left_in(group) for group in groups} == {float("inf")}


def test_this_process_has_some():
  assert host_cache.free_memory() > 0
